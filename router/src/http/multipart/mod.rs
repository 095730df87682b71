//! multipart/form-data (RFC 7578): read by one strict grammar, and written anew from what was read.
//!
//! Readers disagree about unusual forms: which of two names counts, what a backslash means, where a
//! header line ends. A part that passed unchanged could be a field that the provider reads and the
//! router does not. So parts with unusual headers are errors, and of the others their names, file
//! names, media types and contents are written in the plainest form.

mod framing;
mod header_value;
mod part_headers;

use framing::Framing;
use part_headers::PartHeaders;

use crate::http::rewritten_body::{BodyWriter, RewrittenBody};

/// The most parts of a form. Real forms have fewer than twenty.
const MAX_PARTS: usize = 1000;

/// A form that was read.
#[derive(Debug)]
pub struct Form<'a> {
    body: &'a [u8],
    /// The boundary of the rewritten form.
    boundary: String,
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    name: String,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    Field(&'a str),
    File { name: String, media_type: Option<String>, bytes: &'a [u8] },
}

/// Why a body is not a form that all readers read in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidForm {
    /// The number of the invalid part, from 1; 0 for the form as a whole.
    part: usize,
    why: &'static str,
}

impl std::fmt::Display for InvalidForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            0 => f.write_str(self.why),
            number => write!(f, "part {number} has {}", self.why),
        }
    }
}

impl Part<'_> {
    /// The name of a file; empty for a field.
    fn file_name(&self) -> &str {
        match &self.content {
            Content::Field(_) => "",
            Content::File { name, .. } => name,
        }
    }
}

impl<'a> Form<'a> {
    /// Reads a body under its content-type header.
    ///
    /// # Errors
    /// An [`InvalidForm`] where two readers could read different things.
    pub fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, InvalidForm> {
        let whole = |why| InvalidForm { part: 0, why };
        let Framing { boundary, parts } = framing::parse(content_type, body).map_err(whole)?;
        let delimiter = format!("--{boundary}");
        let mut form = Self { body, boundary, parts: Vec::new() };
        for (bytes, number) in parts.into_iter().zip(1..) {
            let part = read_part(bytes).and_then(|part| match part {
                Some(part) if part.file_name().contains(&delimiter) => Err("the boundary in its file name"),
                other => Ok(other),
            });
            form.parts.extend(part.map_err(|why| InvalidForm { part: number, why })?);
        }
        Ok(form)
    }

    /// A field's text; of repeated ones the last.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields().filter(|(field, _)| *field == name).last().map(|(_, text)| text)
    }

    /// All fields in their order, repeated ones included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.parts.iter().filter_map(|part| match part.content {
            Content::Field(text) => Some((part.name.as_str(), text)),
            Content::File { .. } => None,
        })
    }

    /// The length of each file in bytes.
    pub fn files(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().filter_map(|part| match &part.content {
            Content::Field(_) => None,
            Content::File { bytes, .. } => Some(bytes.len() as u64),
        })
    }

    /// Whether the form sets a parameter, under any of its names.
    pub fn sets(&self, name: &str) -> bool {
        self.parts.iter().any(|part| parameter(&part.name).eq_ignore_ascii_case(name))
    }

    /// The content-type header of the rewritten form.
    pub fn content_type(&self) -> String {
        let boundary = &self.boundary;
        let is_token = boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+'".contains(&byte));
        let quote = if is_token { "" } else { "\"" };
        format!("multipart/form-data; boundary={quote}{boundary}{quote}")
    }

    /// The rewritten form: the `added` fields, then the parts for whose [`parameter`] `keep` is
    /// true.
    pub fn rewritten(&self, keep: impl Fn(&str) -> bool, added: &[(&str, &str)]) -> RewrittenBody {
        let mut out = BodyWriter::new(self.body, 1024);
        for (name, text) in added {
            self.write(&mut out, name, &Content::Field(text));
        }
        for part in self.parts.iter().filter(|part| keep(parameter(&part.name))) {
            self.write(&mut out, &part.name, &part.content);
        }
        out.write(&[b"--", self.boundary.as_bytes(), b"--\r\n"]);
        out.finish()
    }

    fn write(&self, out: &mut BodyWriter<'_>, name: &str, content: &Content<'_>) {
        out.write(&[b"--", self.boundary.as_bytes(), b"\r\nContent-Disposition: form-data; name=\""]);
        out.write(&[escaped(name).as_bytes(), b"\""]);
        let bytes = match content {
            Content::Field(text) => text.as_bytes(),
            Content::File { name, media_type, bytes } => {
                out.write(&[b"; filename=\"", escaped(name).as_bytes(), b"\""]);
                if let Some(media_type) = media_type {
                    out.write(&[b"\r\nContent-Type: ", media_type.as_bytes()]);
                }
                bytes
            }
        };
        out.write(&[b"\r\n\r\n", bytes, b"\r\n"]);
    }
}

/// The parameter that a field sets: many readers take `a[]`, `a[0]` and `a.b` for parts of `a`.
pub fn parameter(field: &str) -> &str {
    field.split(['[', '.']).next().unwrap_or_default()
}

/// As browsers write names (WHATWG HTML, 4.10.21.8).
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Reads one part; `None` for `_charset_`, which describes the others.
fn read_part(bytes: &[u8]) -> Result<Option<Part<'_>>, &'static str> {
    let (head, bytes) = part_headers::split(bytes)?;
    let head = PartHeaders::parse(head)?;
    // To ASP.NET `Model` is `model`, to multer `model[]` is, to Starlette a file of that name is.
    let is_model = parameter(&head.name).eq_ignore_ascii_case("model");
    if is_model && (head.name != "model" || head.filename.is_some()) {
        return Err("a name that some readers take for the field 'model'");
    }
    let content = match &head.filename {
        Some(name) => {
            Content::File { name: name.clone(), media_type: head.media_type()?.map(str::to_owned), bytes }
        }
        None => Content::Field(head.text(bytes)?),
    };
    match (&*head.name, &content) {
        ("_charset_", Content::Field(charset)) if charset.eq_ignore_ascii_case("utf-8") => Ok(None),
        ("_charset_", _) => Err("a charset other than UTF-8"),
        _ => Ok(Some(Part { name: head.name, content })),
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn body(parts: &[&str]) -> Vec<u8> {
        let parts: String = parts.iter().map(|part| format!("--XX\r\n{part}\r\n")).collect();
        format!("{parts}--XX--\r\n").into_bytes()
    }

    fn rewritten(body: &[u8], keep: impl Fn(&str) -> bool, added: &[(&str, &str)]) -> (String, Vec<u8>) {
        let form = Form::parse(TYPE, body).unwrap();
        (form.content_type(), form.rewritten(keep, added).joined(body))
    }

    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
                        Content-Type: audio/wav\r\n\r\nRIFF\r\n-\r\n\r\nname=\"model\"x";
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
        let (content_type, sent) = rewritten(&body, |name| name != "model", &[("model", "whisper-1")]);
        assert_eq!(content_type, TYPE);
        let again = Form::parse(TYPE, &sent).unwrap();
        assert_eq!(again.field("model"), Some("whisper-1"));
        assert!(memmem::find(&sent, FILE.as_bytes()).is_some());
        assert_eq!(memmem::find_iter(&sent, b"name=\"model\"\r\n").count(), 1);
    }

    #[test]
    fn what_was_read_goes_out_and_nothing_else() {
        let odd = "X-Odd: name=model\r\nContent-Type: a/b\r\ncontent-disposition: form-data ; NAME=file; \
                   filename=\"C:\\a\\\"b;\\\\c.wav\"\r\nContent-Length: 1\r\n\r\nx";
        let typed =
            "Content-Disposition: form-data; name=note\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ny";
        let charset = "Content-Disposition: form-data; name=_charset_\r\n\r\nUTF-8";
        let body = [b"preamble\r\n".to_vec(), body(&[charset, odd, typed]), b"epilogue".to_vec()].concat();
        let (_, sent) = rewritten(&body, |_| true, &[]);
        let expected = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.wav\"\r\n\
                        Content-Type: a/b\r\n\r\nx\r\n\
                        --XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\ny\r\n--XX--\r\n";
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }

    #[test]
    fn an_escaped_quote_in_a_file_name_goes_out_as_browsers_write_it() {
        let file = r#"Content-Disposition: form-data; name="file"; filename="we\"ird.wav""#;
        let (_, sent) = rewritten(&body(&[&format!("{file}\r\n\r\nx")]), |_| true, &[]);
        let head = "Content-Disposition: form-data; name=\"file\"; filename=\"we%22ird.wav\"\r\n\r\nx";
        assert_eq!(sent, body(&[head]));
    }

    #[test]
    fn a_boundary_that_is_in_the_content_is_replaced() {
        let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\
                    a\n--XX\r\n\nllm-balancer-form-00000000";
        let (content_type, sent) = rewritten(&body(&[file]), |_| true, &[]);
        assert_eq!(content_type, "multipart/form-data; boundary=llm-balancer-form-00000001");
        assert_eq!(memmem::find_iter(&sent, b"--llm-balancer-form-00000001").count(), 2);
    }

    #[test]
    fn a_file_name_that_would_be_written_with_the_boundary_is_an_error() {
        let named = |name: &str| {
            let file = format!("Content-Disposition: form-data; name=f; filename*=utf-8''{name}\r\n\r\nx");
            body(&[&file])
        };
        assert!(Form::parse(TYPE, &named("%2D-X")).is_ok());
        assert_eq!(Form::parse(TYPE, &named("a%2D-XX")).unwrap_err().part, 1);
        // In the body as it is, it is replaced: by a boundary that may be in another name.
        let twice = [named("--XX"), named("-%2Dllm-balancer-form-00000000")].concat();
        let twice = String::from_utf8(twice).unwrap().replacen("--XX--\r\n", "", 1);
        assert_eq!(Form::parse(TYPE, twice.as_bytes()).unwrap().boundary, "llm-balancer-form-00000001");
        let hidden = twice.replace("-%2Dllm", "--%6Clm");
        assert_eq!(Form::parse(TYPE, hidden.as_bytes()).unwrap_err().part, 2);
    }

    #[test]
    fn what_some_readers_take_for_the_model_is_an_error() {
        for disposition in [
            "name=Model", "name=MODEL", "name=\"model[]\"", "name=\"model[0]\"", "name=model.name",
            "name=model; filename=a", "name=model; filename*=a",
        ] {
            let part = format!("Content-Disposition: form-data; {disposition}\r\n\r\nx");
            let error = Form::parse(TYPE, &body(&[FILE, &part])).unwrap_err();
            assert_eq!(error.part, 2, "{disposition}");
        }
    }

    #[test]
    fn a_parameter_is_left_out_under_all_of_its_names() {
        let part = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\nx");
        let [one, two, three] = ["include[]", "include", "included"].map(part);
        let body = body(&[&one, &two, &three]);
        let (_, sent) = rewritten(&body, |name| name != "include", &[]);
        let names: Vec<String> =
            Form::parse(TYPE, &sent).unwrap().fields().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["included"]);
        let form = Form::parse(TYPE, &body).unwrap();
        assert!(form.sets("include") && form.sets("INCLUDED") && !form.sets("includ"));
    }

    #[test]
    fn the_charset_of_a_form_is_utf_8() {
        let charset = "Content-Disposition: form-data; name=_charset_\r\n\r\nshift_jis";
        assert!(Form::parse(TYPE, &body(&[charset, MODEL])).is_err());
    }
}
