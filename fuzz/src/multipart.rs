//! Forms. What the strict grammar accepts is written in a form in which every reader finds the same
//! parts: the strict grammar again, and a reader that only knows delimiters and empty lines.

use llm_balancer_router::testing::Form;

/// The first line is the content-type, the rest the body.
pub fn multipart(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (content_type, rest) = bytes.split_at(end);
    let content_type = String::from_utf8_lossy(content_type);
    let body = rest.get(1..).unwrap_or_default();
    let Ok(form) = Form::parse(&content_type, body) else { return };
    let added = [("model", "m"), ("x[]", "a\r\nb")];
    let written = form.rewritten(|name| name != "model", &added).joined(body);
    let again = Form::parse(&form.content_type(), &written);
    let again = again.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)));

    let kept = form.fields().filter(|(name, _)| *name != "model");
    let expected: Vec<(&str, &str)> = added.into_iter().chain(kept).collect();
    assert_eq!(again.fields().collect::<Vec<_>>(), expected);
    assert_eq!(again.files().collect::<Vec<_>>(), form.files().collect::<Vec<_>>());
    assert_eq!(again.field("model"), Some("m"));
    let twice = again.rewritten(|_| true, &[]).joined(&written);
    assert!(twice == written, "{} is {}", String::from_utf8_lossy(&twice), String::from_utf8_lossy(&written));

    let parts = plain_parts(&again.content_type(), &written);
    let fields: Vec<(&str, &str)> = parts.iter().filter_map(Part::field).collect();
    assert_eq!(fields, expected, "read in the plain way");
    assert_eq!(parts.len(), expected.len() + form.files().count(), "{}", String::from_utf8_lossy(&written));
}

struct Part<'a> {
    head: &'a str,
    content: &'a [u8],
}

impl<'a> Part<'a> {
    /// The name and the text of a field; `None` for a file.
    fn field(&self) -> Option<(&'a str, &'a str)> {
        let name = self.head.strip_prefix("Content-Disposition: form-data; name=\"")?.strip_suffix('"')?;
        let text = || std::str::from_utf8(self.content).expect("a field is UTF-8");
        (!name.contains("filename=")).then(|| (name, text()))
    }
}

/// The parts of a form whose boundary is nowhere else, as the most simple reader has them.
fn plain_parts<'a>(content_type: &str, body: &'a [u8]) -> Vec<Part<'a>> {
    let (_, boundary) = content_type.split_once("boundary=").expect("a boundary");
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut pieces = split(body, delimiter.as_bytes());
    assert_eq!(pieces.remove(0), b"", "text in front of the first delimiter");
    assert_eq!(pieces.pop(), Some(&b"--\r\n"[..]), "the last delimiter");
    let part = |piece: &'a [u8]| {
        let piece = piece.strip_prefix(b"\r\n").and_then(|piece| piece.strip_suffix(b"\r\n"));
        let piece = piece.expect("a delimiter is alone in its line");
        let end = piece.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line");
        let head = std::str::from_utf8(&piece[..end]).expect("headers are UTF-8");
        Part { head, content: &piece[end + 4..] }
    };
    pieces.into_iter().map(part).collect()
}

fn split<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(delimiter) {
            pieces.push(&bytes[start..at]);
            at += delimiter.len();
            start = at;
        } else {
            at += 1;
        }
    }
    pieces.push(&bytes[start..]);
    pieces
}
