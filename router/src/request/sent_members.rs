//! The members of a JSON body as a provider gets them.

use crate::http::json::Object;

/// A body with the members of its `extra_body` in place of its own: SDKs merge these before they
/// send, and for other clients the body to the provider does (`upstream/body`).
#[derive(Debug)]
pub struct SentMembers<'a> {
    /// The members as the client sent them.
    pub body: Object<'a>,
    /// Those of its `extra_body`.
    pub extra: Option<Object<'a>>,
    /// Its `fallbacks` are Anthropic's, and not the router's.
    pub keeps_fallbacks: bool,
}

impl<'a> SentMembers<'a> {
    /// Reads the `extra_body` of a body, if it has one.
    pub fn of(body: Object<'a>) -> Self {
        let extra = body.present("extra_body").and_then(|extra| Object::parse(extra.as_bytes()).ok());
        Self { body, extra, keeps_fallbacks: false }
    }

    /// The text of a member's value, unless it is null.
    pub fn present(&self, name: &str) -> Option<&'a str> {
        let of_extra = self.extra.as_ref().and_then(|extra| extra.get(name));
        of_extra.or_else(|| self.body.get(name)).filter(|value| *value != "null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_extra_body_goes_before_the_same_one_of_the_body() {
        let body = br#"{"a":1,"b":2,"extra_body":{"b":3,"a":null,"c":4}}"#;
        let object = Object::parse(body).unwrap();
        let sent = SentMembers::of(object);
        let values = ["a", "b", "c", "d"].map(|name| sent.present(name));
        assert_eq!(values, [None, Some("3"), Some("4"), None]);
        let object = Object::parse(br#"{"a":1,"extra_body":"text"}"#).unwrap();
        assert_eq!(SentMembers::of(object).present("a"), Some("1"));
    }
}
