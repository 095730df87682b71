//! Writes a JSON object, member by member.

/// The text of an object so far.
#[derive(Debug)]
pub struct ObjectText(String);

impl ObjectText {
    /// An object without members, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds a member: its name as JSON text with its quotes, and its value as JSON text.
    pub fn member(&mut self, written: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(written);
        self.0.push(':');
        self.0.push_str(value);
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_members_in_their_order() {
        let mut text = ObjectText::with_capacity(0);
        text.member(r#""b""#, "[1, 2]");
        text.member(r#""\u0061""#, "{}");
        assert_eq!(text.finish(), r#"{"b":[1, 2],"\u0061":{}}"#);
        assert_eq!(ObjectText::with_capacity(8).finish(), "{}");
    }
}
