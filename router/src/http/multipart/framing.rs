//! Where the parts of a form begin and end (RFC 2046, 5.1.1).

use memchr::memmem::{self, Finder};

use super::MAX_PARTS;
use super::header_value::HeaderValue;

/// A form, split at its delimiters.
pub(super) struct Framing<'a> {
    /// The boundary of the rewritten form: the client's, unless it also occurs in the content.
    pub(super) boundary: String,
    /// Headers and content of each part.
    pub(super) parts: Vec<&'a [u8]>,
}

const CUT_OFF: &str = "the last delimiter is missing: the body is cut off, or its lines do not end in CRLF";
const DELIMITER: &str = "a delimiter line has other text in it";

/// Splits a body.
pub(super) fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Framing<'a>, &'static str> {
    let boundary = boundary(content_type)?;
    let delimiter = format!("--{boundary}");
    let finder = Finder::new(delimiter.as_bytes());
    let mut delimiters = Delimiters { body, finder, in_content: 0 };
    let mut parts = Vec::new();
    let mut at = delimiters.next(0)?;
    // The text in front of the first delimiter is dropped.
    delimiters.in_content = 0;
    loop {
        let after = at.saturating_add(delimiter.len());
        let rest = body.get(after..).unwrap_or_default();
        if let Some(rest) = rest.strip_prefix(b"--") {
            let is_end = end_of_line(rest).is_some() || rest.trim_ascii().is_empty();
            let is_clean = delimiters.in_content == 0 && is_plain(&boundary);
            if !is_end {
                return Err(DELIMITER);
            }
            let boundary = if is_clean { boundary } else { fresh_boundary(body)? };
            return Ok(Framing { boundary, parts });
        }
        if parts.len() == MAX_PARTS {
            return Err("more than 1000 parts");
        }
        let start = after.saturating_add(end_of_line(rest).ok_or(DELIMITER)?);
        at = delimiters.next(start)?;
        // The line break in front of a delimiter belongs to it.
        parts.push(body.get(start..at.saturating_sub(2)).ok_or("two delimiters with nothing between them")?);
    }
}

/// Finds delimiters.
struct Delimiters<'a, 'd> {
    body: &'a [u8],
    finder: Finder<'d>,
    /// How often the delimiter's text occurred elsewhere than at the start of a line, where readers
    /// may find it, too.
    in_content: usize,
}

impl Delimiters<'_, '_> {
    /// The offset of the next delimiter: at the start of the body or of a line behind CRLF.
    fn next(&mut self, from: usize) -> Result<usize, &'static str> {
        let rest = self.body.get(from..).unwrap_or_default();
        for place in self.finder.find_iter(rest).map(|place| place.saturating_add(from)) {
            if place == 0 || self.body.get(..place).is_some_and(|before| before.ends_with(b"\r\n")) {
                return Ok(place);
            }
            self.in_content = self.in_content.saturating_add(1);
        }
        Err(CUT_OFF)
    }
}

/// The length of the blanks and the line break that end a delimiter line.
fn end_of_line(rest: &[u8]) -> Option<usize> {
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    rest.get(blanks..)?.starts_with(b"\r\n").then_some(blanks.saturating_add(2))
}

/// The boundary parameter: 1 to 70 printable characters.
fn boundary(content_type: &str) -> Result<String, &'static str> {
    const KIND: &str = "expected a content-type of multipart/form-data with its boundary";
    let value = HeaderValue::parse(content_type).map_err(|_| KIND)?;
    let is_odd = value.names().any(|name| name.starts_with("boundary*"));
    if is_odd || !value.main.eq_ignore_ascii_case("multipart/form-data") {
        return Err(KIND);
    }
    let boundary = value.get("boundary").ok_or(KIND)?;
    let is_printable = boundary.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !(1..=70).contains(&boundary.len()) || !is_printable {
        return Err("the boundary must have 1 to 70 printable ASCII characters");
    }
    match value.get("charset").map(str::to_ascii_lowercase).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(boundary.to_owned()),
        Some(_) => Err("the charset of a form must be UTF-8"),
    }
}

/// Whether a boundary has only the characters of RFC 2046, which need no escapes between quotes.
fn is_plain(boundary: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    boundary.bytes().all(is_letter) && !boundary.ends_with(' ')
}

/// A boundary that does not occur in a body.
fn fresh_boundary(body: &[u8]) -> Result<String, &'static str> {
    const PREFIX: &str = "llm-balancer-form-";
    const MAX_TAKEN: usize = 1000;
    let found: Vec<usize> = memmem::find_iter(body, PREFIX).take(MAX_TAKEN).collect();
    if found.len() == MAX_TAKEN {
        return Err("the content contains the boundary");
    }
    // Fewer were found than there are numbers here.
    let mut is_taken = [false; MAX_TAKEN];
    for at in found {
        let digits = at.checked_add(PREFIX.len()).and_then(|at| body.get(at..)?.get(..8));
        let number = digits.and_then(|digits| usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        if let Some(is_taken) = number.and_then(|number| is_taken.get_mut(number)) {
            *is_taken = true;
        }
    }
    let free = is_taken.iter().position(|is_taken| !is_taken);
    Ok(format!("{PREFIX}{:08x}", free.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn contents(body: &str) -> Result<Vec<&str>, &'static str> {
        let framing = parse(TYPE, body.as_bytes())?;
        Ok(framing.parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect())
    }

    #[test]
    fn parts_lie_between_delimiters_at_the_start_of_lines() {
        for (body, expected) in [
            ("--XX\r\n\r\none\r\n--XX\r\n\r\n\r\n--XX--\r\n", vec!["\r\none", "\r\n"]),
            ("--XX \t\r\none\r\n--XX-- ", vec!["one"]),
            ("--XX\r\none\n--XX--\r\n--XX--", vec!["one\n--XX--"]),
            ("pre--XX\r\n--XX\r\none\r\n--XX--\r\n--XX\r\ntwo\r\n--XX--", vec!["one"]),
            ("--XX--", vec![]),
        ] {
            assert_eq!(contents(body), Ok(expected), "{body:?}");
        }
    }

    #[test]
    fn a_delimiter_is_alone_in_its_line() {
        for body in [
            "--XXX\r\nA: b\r\n\r\none\r\n--XX--",
            "--XX\nA: b\n\none\n--XX--\n",
            "--XX\r\nA: b\r\n\r\none\r\n--XX--two\r\n",
            "--XX\r\nA: b\r\n\r\none\r\n--XX-\r\n--XX--",
            "--XX\r\n--XX--",
        ] {
            assert!(contents(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_body_cut_off_anywhere_is_an_error() {
        let whole = "--XX\r\nA: b\r\n\r\none\r\n--XX\r\nA: b\r\n\r\ntwo\r\n--XX--";
        assert!(contents(whole).is_ok());
        for end in 0..whole.len() {
            let (cut, _) = whole.split_at(end);
            assert!(contents(cut).is_err(), "cut after {end} bytes");
        }
    }

    #[test]
    fn the_boundary_may_be_quoted_and_must_be_there_once() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=\"a b\"", Some("a b")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=----=_Part.1", Some("----=_Part.1")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=a; boundary*=utf-8''b", None),
            ("multipart/form-data; boundary=a, multipart/form-data; boundary=b", None),
            ("multipart/form-data; boundary=a; charset=utf-16", None),
            ("multipart/related; boundary=a", None),
            ("application/x-www-form-urlencoded", None),
            ("application/json; boundary=x", None),
        ] {
            assert_eq!(boundary(content_type).ok().as_deref(), expected, "{content_type}");
        }
        assert!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))).is_err());
    }

    #[test]
    fn a_form_goes_out_under_its_own_boundary_unless_that_could_be_read_in_two_ways() {
        let sent = |boundary: &str, content: &str| {
            let body = format!("--{boundary}\r\nA: b\r\n\r\n{content}\r\n--{boundary}--");
            let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
            parse(&content_type, body.as_bytes()).map(|framing| framing.boundary).unwrap()
        };
        assert_eq!(sent("a b'7", "--a b"), "a b'7");
        let hostile =
            format!("--XX\r\nA: b\r\n\r\n{}\n--XX\r\n--XX--", "llm-balancer-form-00000000".repeat(1000));
        assert!(parse(TYPE, hostile.as_bytes()).is_err());
        for (boundary, content) in [("a", "x--a"), ("a", "\n--a--\n"), ("a;b", ""), ("a ", ""), ("[a]", "")] {
            assert_eq!(sent(boundary, content), "llm-balancer-form-00000000", "{boundary} {content}");
        }
    }
}
