//! The headers of a form's part. Only a plain form of them is read; everything else is an error.

use std::borrow::Cow;

use memchr::memmem;
use percent_encoding::percent_decode_str;

use super::header_value::{HeaderValue, is_token};
use crate::http::headers::utf8_or_latin1;

/// The most bytes of a part's headers. Real ones have two or three hundred.
const MAX_BYTES: usize = 8 * 1024;

/// The parameters of Content-Disposition: those of a form (RFC 7578, 4.2), and those of a file (RFC
/// 2183, 2), which Jersey sends for every file and which are dropped.
const PARAMETERS: [&str; 7] =
    ["name", "filename", "filename*", "size", "creation-date", "modification-date", "read-date"];

/// Splits a part into its header lines and its content.
///
/// # Errors
/// No empty line within 8 KB.
pub(super) fn split(part: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let start = part.get(..MAX_BYTES).unwrap_or(part);
    let end = memmem::find(start, b"\r\n\r\n").ok_or("headers without an end, or of more than 8 KB")?;
    let content = part.get(end.saturating_add(4)..).unwrap_or_default();
    Ok((part.get(..end).unwrap_or_default(), content))
}

/// The headers of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartHeaders {
    /// The field's name.
    pub(super) name: String,
    /// The name of a file, without folders; `None` for a field.
    pub(super) filename: Option<String>,
    /// The raw media type.
    content_type: Option<String>,
}

impl PartHeaders {
    /// Reads the header lines, without the empty line behind them.
    ///
    /// # Errors
    /// The line that readers could read differently.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let Lines { disposition, content_type, encoding } = Lines::parse(bytes)?;
        let disposition = disposition.ok_or("no Content-Disposition header")?;
        let value = HeaderValue::parse(&disposition)?;
        if !value.main.eq_ignore_ascii_case("form-data") {
            return Err("a Content-Disposition other than form-data");
        }
        if value.names().any(|name| !PARAMETERS.contains(&name)) {
            return Err("a Content-Disposition parameter other than name, filename and filename*");
        }
        let name = value.get("name").ok_or("no name")?;
        if !is_plain(name) {
            return Err("a name with characters other than letters, digits and _ - . [ ]");
        }
        let plain = ["7bit", "8bit", "binary"];
        if encoding.is_some_and(|encoding| !plain.iter().any(|plain| encoding.eq_ignore_ascii_case(plain))) {
            return Err("a Content-Transfer-Encoding: send the content as it is");
        }
        Ok(Self { name: name.to_owned(), filename: filename(&value)?, content_type })
    }

    /// A file's media type, if it is valid. Some readers read nested forms and others do not.
    ///
    /// # Errors
    /// It is `multipart/..`.
    pub(super) fn media_type(&self) -> Result<Option<&str>, &'static str> {
        let Some(text) = self.content_type.as_deref() else { return Ok(None) };
        if text.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
            return Err("a nested form");
        }
        let is_valid = |value: HeaderValue<'_>| {
            value.main.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
        };
        Ok(Some(text).filter(|text| text.is_ascii() && HeaderValue::parse(text).is_ok_and(is_valid)))
    }

    /// A field's text. Its media type is dropped, so its charset must be UTF-8.
    ///
    /// # Errors
    /// The text, or its charset, is not UTF-8.
    pub(super) fn text<'a>(&self, content: &'a [u8]) -> Result<&'a str, &'static str> {
        self.media_type()?;
        let value = HeaderValue::parse(self.content_type.as_deref().unwrap_or_default())?;
        let is_utf_8 = match value.get("charset").map(str::to_ascii_lowercase).as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii") => true,
            // Old Java clients send these for ASCII, which they contain.
            Some("iso-8859-1" | "windows-1252") => content.is_ascii(),
            Some(_) => false,
        };
        std::str::from_utf8(content).ok().filter(|_| is_utf_8).ok_or("a text that is not UTF-8")
    }
}

/// The headers that are read. The others are dropped.
#[derive(Default)]
struct Lines {
    disposition: Option<String>,
    content_type: Option<String>,
    encoding: Option<String>,
}

impl Lines {
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut lines = Self::default();
        let ends = memmem::find_iter(bytes, b"\r\n").chain([bytes.len()]);
        let mut start = 0;
        for end in ends {
            let line = utf8_or_latin1(bytes.get(start..end).unwrap_or_default());
            start = end.saturating_add(2);
            if line.contains(|letter: char| letter.is_control() && letter != '\t') {
                return Err("a control character in its headers");
            }
            if line.starts_with([' ', '\t']) {
                return Err("a folded header line");
            }
            let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
            if !is_token(name) {
                return Err("a header with an invalid name");
            }
            let slot = match &*name.to_ascii_lowercase() {
                "content-disposition" => &mut lines.disposition,
                "content-type" => &mut lines.content_type,
                "content-transfer-encoding" => &mut lines.encoding,
                _ => continue,
            };
            if slot.replace(value.trim_matches([' ', '\t']).to_owned()).is_some() {
                return Err("a duplicate header");
            }
        }
        Ok(lines)
    }
}

/// Whether all readers read the same name: ASCII letters, digits and `_-.[]`, and a parameter in
/// front of the brackets.
fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    name.bytes().all(is_letter) && !super::parameter(name).is_empty()
}

/// A file's name: `filename*` has precedence over `filename` (RFC 6266, 4.3). `None` where both are
/// absent.
fn filename(value: &HeaderValue<'_>) -> Result<Option<String>, &'static str> {
    let name = match (value.get("filename*"), value.get("filename")) {
        (Some(extended), _) => extended_value(extended).ok_or("a filename* that cannot be read")?,
        (None, Some(name)) => Cow::Borrowed(name),
        (None, None) => return Ok(None),
    };
    // Folders are dropped (RFC 7578, 4.2).
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.is_empty() || matches!(name, "." | "..") || name.contains(char::is_control) {
        return Err("an empty or invalid file name");
    }
    Ok(Some(name.to_owned()))
}

/// `utf-8'en'na%C3%AFve.wav` (RFC 8187).
fn extended_value(text: &str) -> Option<Cow<'_, str>> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decode_str(encoded);
    match &*charset.to_ascii_lowercase() {
        "utf-8" => bytes.decode_utf8().ok(),
        "iso-8859-1" => Some(Cow::Owned(bytes.map(char::from).collect())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(disposition: &str) -> Result<PartHeaders, &'static str> {
        PartHeaders::parse(format!("Content-Disposition: {disposition}").as_bytes())
    }

    #[test]
    fn headers_are_read_as_real_clients_write_them() {
        for (client, disposition, filename) in [
            ("curl", r#"form-data; name="file"; filename="a.wav""#, "a.wav"),
            ("a browser", r#"form-data; name="file"; filename="we%22ird.wav""#, "we%22ird.wav"),
            ("Go", r#"form-data; name="file"; filename="we\"ird\\.wav""#, ".wav"),
            (".NET", "form-data; name=file; filename=a.wav; filename*=utf-8''na%C3%AFve.wav", "naïve.wav"),
            ("urllib3", "form-data; name=\"file\"; filename*=utf-8''a.wav", "a.wav"),
            ("an old browser", r#"form-data; name="file"; filename="C:\songs\a.wav""#, "a.wav"),
            (
                "Jersey",
                r#"form-data; filename="a.wav"; modification-date="Wed, 12 Feb 2020 10:00:00 GMT"; size=4; name="file""#,
                "a.wav",
            ),
            ("RFC 8187", "form-data; name=file; filename*=ISO-8859-1'de'%e4.wav", "ä.wav"),
        ] {
            let head = head(disposition).unwrap();
            assert_eq!((&*head.name, head.filename.as_deref()), ("file", Some(filename)), "{client}");
        }
        let latin =
            PartHeaders::parse(b"Content-Disposition: form-data; name=file; filename=\"\xe4.wav\"").unwrap();
        assert_eq!(latin.filename.as_deref(), Some("ä.wav"));
    }

    #[test]
    fn other_headers_are_skipped() {
        let bytes = b"Content-Length: 3\r\nCONTENT-DISPOSITION: form-data; name=a\r\nContent-ID: <1>\r\n\
                      Content-Transfer-Encoding: 8bit";
        assert_eq!(PartHeaders::parse(bytes).unwrap().name, "a");
    }

    #[test]
    fn a_valid_media_type_is_kept() {
        let media_type = |text: &str| {
            let bytes = format!("Content-Disposition: form-data; name=a\r\nContent-Type: {text}");
            PartHeaders::parse(bytes.as_bytes()).unwrap().media_type().map(|kind| kind.map(str::to_owned))
        };
        for kind in ["audio/wav", "audio/webm;codecs=opus", "image/svg+xml; charset=\"utf-8\""] {
            assert_eq!(media_type(kind), Ok(Some(kind.to_owned())));
        }
        for odd in ["", "null", "audio", "audio/", "audio/wav; a=\"b", "audio/wav, image/png"] {
            assert_eq!(media_type(odd), Ok(None), "{odd}");
        }
        assert!(media_type("Multipart/mixed; boundary=x").is_err());
    }

    #[test]
    fn a_text_is_utf_8() {
        let text = |kind: &str, content: &'static [u8]| {
            let bytes = format!("Content-Disposition: form-data; name=a\r\nContent-Type: {kind}");
            PartHeaders::parse(bytes.as_bytes()).unwrap().text(content)
        };
        for kind in ["text/plain", "text/plain; charset=UTF-8", "application/json", ""] {
            assert_eq!(text(kind, "ä".as_bytes()), Ok("ä"), "{kind}");
            assert!(text(kind, b"\xe4").is_err(), "{kind}");
        }
        assert_eq!(text("text/plain; charset=ISO-8859-1", b"a"), Ok("a"));
        for kind in ["text/plain; charset=ISO-8859-1", "text/plain; charset=utf-16", "a/b; charset=\"x"] {
            assert!(text(kind, "ä".as_bytes()).is_err(), "{kind}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for bytes in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition form-data; name=a",
            "Content-Disposition : form-data; name=a",
            " Content-Disposition: form-data; name=a",
            "X: y\r\n\r\nContent-Disposition: form-data; name=a",
            "Content-Disposition: form-data;\r\n name=a",
            "Content-Disposition: form-data; name=a\nX: y",
            "Content-Disposition: form-data; name=a\rX: y",
            "Content-Disposition: form-data; name=a\r\nX: \0",
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            "Content-Disposition: form-data; name=a\r\nContent-Type: a/b\r\ncontent-type: a/b",
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: quoted-printable",
        ] {
            assert!(PartHeaders::parse(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        for disposition in [
            "attachment; name=a",
            "form-data",
            "form-data; filename=a",
            "form-data; name*=utf-8''a",
            "form-data; name*0=mo; name*1=del",
            "form-data; name=a; x=y",
            "form-data; name=\"\"",
            "form-data; name=\"a \"",
            "form-data; name=\"a%22\"",
            "form-data; name='a'",
            "form-data; name=\"ä\"",
            "form-data; name=\"a\\\"b\"",
            "form-data; name=\"[a]\"",
            "form-data; name=\".a\"",
            "form-data; name=a; filename=\"\"",
            "form-data; name=a; filename=\"b/\"",
            "form-data; name=a; filename=\"..\"",
            "form-data; name=a; filename*=a",
            "form-data; name=a; filename*=utf-8''%ff",
            "form-data; name=a; filename*=utf-8''%0d%0a",
            "form-data; name=a; filename*=koi8-r''a",
            "form-data; name=a; filename*0=b",
        ] {
            assert!(head(disposition).is_err(), "{disposition}");
        }
    }
}
