//! multipart/form-data (RFC 7578): finding a field wherever it stands, and writing the body anew around it.

use std::ops::Range;

use memchr::memmem;

/// Parts that a form may have; real ones have fewer than twenty.
const MOST: usize = 1000;

/// The parts of a body, by their places in it.
#[derive(Debug)]
pub struct Form<'a> {
    body: &'a [u8],
    boundary: &'a str,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    /// True for a file: then its content is not a value.
    is_file: bool,
    /// From the end of the delimiter line to the end of the content.
    whole: Range<usize>,
    content: Range<usize>,
}

impl<'a> Form<'a> {
    /// Reads a body under its content-type header. `None` if it is no complete multipart body.
    pub fn parse(content_type: &'a str, body: &'a [u8]) -> Option<Self> {
        let boundary = boundary(content_type)?;
        let delimiter = format!("--{boundary}");
        let finder = memmem::Finder::new(delimiter.as_bytes());
        let mut parts = Vec::new();
        let mut at = finder.find(body)?.checked_add(delimiter.len())?;
        while !body.get(at..)?.starts_with(b"--") {
            if parts.len() == MOST {
                return None;
            }
            let start = after_line(body, at)?;
            // A delimiter stands at the start of a line; the same bytes elsewhere are content.
            let next = finder
                .find_iter(body.get(start..)?)
                .filter_map(|found| start.checked_add(found))
                .find(|place| body.get(..*place).is_some_and(|before| before.ends_with(b"\r\n")))?;
            parts.push(part(body, start..next.checked_sub(2)?)?);
            at = next.checked_add(delimiter.len())?;
        }
        Some(Self { body, boundary, parts })
    }

    /// A field's text; of repeated ones the last.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let part = self.parts.iter().rev().find(|part| part.name == name && !part.is_file)?;
        std::str::from_utf8(self.body.get(part.content.clone())?).ok()
    }

    /// All fields in the order they were sent, repeated ones included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.parts.iter().filter(|part| !part.is_file).filter_map(|part| {
            let text = std::str::from_utf8(self.body.get(part.content.clone())?).ok()?;
            Some((part.name.as_str(), text))
        })
    }

    /// The length of each file in bytes.
    pub fn files(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().filter(|part| part.is_file).map(|part| part.content.len() as u64)
    }

    /// The body anew: parts that `keep` refuses left out, `added` fields in front, everything else as it was.
    pub fn rewritten(&self, keep: impl Fn(&str) -> bool, added: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len().saturating_add(512));
        for (name, value) in added {
            let head =
                format!("--{}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n", self.boundary);
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        for part in self.parts.iter().filter(|part| part.is_file || keep(&part.name)) {
            out.extend_from_slice(format!("--{}\r\n", self.boundary).as_bytes());
            out.extend_from_slice(self.body.get(part.whole.clone()).unwrap_or_default());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        out
    }
}

/// The boundary parameter: a token or a quoted string, 1 to 70 characters (RFC 2046, 5.1.1), and only one of it.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, _) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameter(content_type, "boundary").ok()??;
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    ((1..=70).contains(&value.len()) && is_plain).then_some(value)
}

/// The content-type to send: what the provider reads is what was read here.
pub fn content_type(received: &str) -> String {
    let boundary = boundary(received).unwrap_or_default();
    let is_token = boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+'".contains(&byte));
    let quote = if is_token { "" } else { "\"" };
    format!("multipart/form-data; boundary={quote}{boundary}{quote}")
}

/// The place after the line break that ends the delimiter's line.
fn after_line(body: &[u8], at: usize) -> Option<usize> {
    let rest = body.get(at..)?;
    let end = memmem::find(rest, b"\r\n")?;
    let padding = rest.get(..end)?;
    padding.iter().all(|byte| matches!(byte, b' ' | b'\t')).then_some(at.checked_add(end)?.checked_add(2)?)
}

fn part(body: &[u8], whole: Range<usize>) -> Option<Part> {
    let bytes = body.get(whole.clone())?;
    let end_of_head = memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end_of_head)?).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let content = whole.start.checked_add(end_of_head)?.checked_add(4)?..whole.end;
    let has = |name| parameter(disposition, name).map(|value| value.is_some()).ok();
    let is_file = has("filename")? || has("filename*")?;
    Some(Part { name: parameter(disposition, "name").ok()??.to_owned(), is_file, whole, content })
}

/// A parameter occurs twice, or a quoted string does not end: two readers could disagree about it.
struct Ambiguous;

/// A parameter's value, its quotes removed. A semicolon inside of quotes ends nothing. Browsers write quotes in names
/// as %22 (RFC 7578, 2), so a backslash is refused rather than understood.
fn parameter<'a>(header: &'a str, wanted: &str) -> Result<Option<&'a str>, Ambiguous> {
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    let mut found = None;
    while let Some((name, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(Ambiguous)?,
            None => value
                .split_once(';')
                .map_or((value.trim_end(), ""), |(value, after)| (value.trim_end(), after)),
        };
        let is_wanted = name.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(wanted);
        if value.contains('\\') || (is_wanted && found.replace(value).is_some()) {
            return Err(Ambiguous);
        }
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn body(parts: &[&str]) -> Vec<u8> {
        let parts: String = parts.iter().map(|part| format!("--XX\r\n{part}\r\n")).collect();
        format!("{parts}--XX--\r\n").into_bytes()
    }

    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
                        Content-Type: audio/wav\r\n\r\nRIFF--XX\r\n-\r\n\r\nname=\"model\"x";
    const MODEL: &str = "Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper";

    #[test]
    fn the_model_is_found_before_and_after_the_file() {
        for parts in [[FILE, MODEL], [MODEL, FILE]] {
            let body = body(&parts);
            assert_eq!(Form::parse(TYPE, &body).unwrap().field("model"), Some("whisper"));
        }
    }

    #[test]
    fn a_file_stays_byte_for_byte_when_a_field_is_replaced() {
        let body = body(&[FILE, MODEL]);
        let form = Form::parse(TYPE, &body).unwrap();
        let rewritten = form.rewritten(|name| name != "model", &[("model", "whisper-1")]);
        let again = Form::parse(TYPE, &rewritten).unwrap();
        assert_eq!(again.field("model"), Some("whisper-1"));
        assert!(memmem::find(&rewritten, FILE.as_bytes()).is_some());
        assert_eq!(memmem::find_iter(&rewritten, b"name=\"model\"\r\n").count(), 1);
    }

    #[test]
    fn a_file_called_model_is_not_the_model() {
        let file = "Content-Disposition: form-data; name=\"model\"; filename=\"m\"\r\n\r\nx";
        assert_eq!(Form::parse(TYPE, &body(&[file])).unwrap().field("model"), None);
    }

    #[test]
    fn a_body_cut_off_anywhere_is_no_form() {
        let whole = body(&[FILE, MODEL]);
        for end in 0..whole.len() - 4 {
            let cut = Form::parse(TYPE, &whole[..end]);
            assert!(cut.is_none(), "cut after {end} bytes");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_no_form() {
        assert_eq!(boundary("multipart/form-data; boundary=a; boundary=b"), None);
        for name in ["name=\"model\"; name=\"foo\"", "name=\"mo\\del\"", "name=\"model"] {
            let part = format!("Content-Disposition: form-data; {name}\r\n\r\nx");
            assert!(Form::parse(TYPE, &body(&[&part])).is_none(), "{name}");
        }
        let hidden = "Content-Disposition: form-data; x=\"; name=foo; y=\"; name=\"model\"\r\n\r\nm";
        assert_eq!(Form::parse(TYPE, &body(&[hidden])).unwrap().field("model"), Some("m"));
    }

    #[test]
    fn the_boundary_may_be_quoted_and_must_be_there() {
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=x"), Some("x"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("application/json; boundary=x"), None);
    }
}
