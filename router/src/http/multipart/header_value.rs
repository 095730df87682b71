//! Header values with parameters (RFC 9110, 5.6.6): `form-data; name="a"; filename=b`.

/// The most parameters of a header. Real headers have fewer than four.
const MAX_PARAMETERS: usize = 8;

const BLANKS: [char; 2] = [' ', '\t'];

/// A value and its parameters: their names in lower case, and each once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeaderValue<'a> {
    /// The text before the first semicolon.
    pub(super) main: &'a str,
    parameters: Vec<(String, String)>,
}

impl<'a> HeaderValue<'a> {
    /// Reads a header's value by the strict grammar.
    ///
    /// # Errors
    /// The part of it that readers could read differently.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        let end = text.find(';').unwrap_or(text.len());
        let (main, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        Ok(Self { main: main.trim_matches(BLANKS), parameters: parameters(rest)? })
    }

    /// A parameter's value, its quotes and escapes resolved.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of all parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }
}

fn parameters(mut rest: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut found: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        let Some(after) = rest.strip_prefix(';') else {
            return if rest.is_empty() { Ok(found) } else { Err("text after a parameter's value") };
        };
        rest = after.trim_start_matches(BLANKS);
        if rest.is_empty() {
            return Ok(found);
        }
        let (name, after) = rest.split_once('=').ok_or("a parameter without a value")?;
        if !is_token(name) {
            return Err("a parameter with an invalid name");
        }
        let name = name.to_ascii_lowercase();
        if found.len() == MAX_PARAMETERS || found.iter().any(|(other, _)| *other == name) {
            return Err("a duplicate parameter, or more than eight");
        }
        let (value, after) = value(after)?;
        found.push((name, value));
        rest = after;
    }
}

/// A parameter's value, and the text behind it.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted_value(quoted).ok_or("a quoted value without its closing quote"),
        None => {
            let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
            let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            if value.is_empty() || value.contains(['"', '\\']) {
                return Err("an unquoted value that is empty, or has a quote or a backslash in it");
            }
            Ok((value.to_owned(), rest))
        }
    }
}

/// A backslash escapes a quote and a backslash, as in Go's file names. Before another character it
/// is a backslash, as in the Windows paths of old browsers.
fn quoted_value(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some((value, letters.as_str())),
            '\\' if letters.as_str().starts_with(['"', '\\']) => value.extend(letters.next()),
            letter => value.push(letter),
        }
    }
    None
}

/// A token of HTTP (RFC 9110, 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<Option<String>, &'static str> {
        HeaderValue::parse(text).map(|value| value.get("name").map(str::to_owned))
    }

    #[test]
    fn values_are_read_quoted_and_bare() {
        for (text, expected) in [
            (r#"form-data; name="model""#, Some("model")),
            ("form-data;name=model", Some("model")),
            ("form-data ;\tNAME=model ; x=y;", Some("model")),
            (r#"form-data; x="; name=no"; name="a;b""#, Some("a;b")),
            (r#"form-data; name="a\"b\\c\d""#, Some(r#"a"b\c\d"#)),
            (r#"form-data; name="""#, Some("")),
            ("form-data", None),
        ] {
            assert_eq!(name(text), Ok(expected.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_an_error() {
        for text in [
            r#"form-data; name="a"; name="b""#,
            r#"form-data; name=a; NAME=b"#,
            r#"form-data; name="a"b"#,
            r#"form-data; name="a" b=c"#,
            "form-data; name=a b",
            r#"form-data; name=a"b""#,
            r"form-data; name=a\b",
            "form-data; name =a",
            "form-data; name= a",
            "form-data; name=",
            "form-data; name",
            "form-data;; name=a",
            r#"form-data; name="a"#,
            r#"form-data; name="a\""#,
            "form-data; a=1; b=1; c=1; d=1; e=1; f=1; g=1; h=1; name=a",
        ] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
