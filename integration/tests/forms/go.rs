//! A form as Go's mime/multipart reads it, by the words of its documentation and source:
//! `mime.ParseMediaType`, `textproto.Reader.ReadMIMEHeader`, `multipart.Reader.NextPart` and
//! `Part.FormName`. Only what it reads; what it refuses is an error.

use std::collections::HashMap;

use crate::cases::Entry;
use crate::readers::{Read, Sent};

/// The fields of a part, by their names in lower case.
type Header = HashMap<String, Vec<u8>>;

/// Reads a form like `Request.ParseMultipartForm`.
pub fn read(form: &Sent) -> Read {
    let (kind, parameters) = media_type(form.content_type.as_bytes()).ok_or("no media type")?;
    let boundary =
        parameters.get("boundary").filter(|_| kind == "multipart/form-data").ok_or("no boundary")?;
    let delimiter = [b"--", boundary.as_slice()].concat();
    let mut rest = form.body.as_slice();
    // Lines that are no delimiter are passed over before the first part. If the first ends in LF,
    // all do.
    let line_break: &[u8] = loop {
        let (line, after) = line(rest).ok_or("multipart: NextPart: EOF")?;
        rest = after;
        match strip(line, &delimiter).map(trimmed) {
            Some(b"\r\n") => break b"\r\n",
            Some(b"\n") => break b"\n",
            _ => {}
        }
    };
    let mut parts = Vec::new();
    loop {
        let (header, after) = header(rest)?;
        let (content, after) = content(after, line_break, &delimiter).ok_or("unexpected EOF")?;
        parts.extend(part(&header, content));
        let after = trimmed(after);
        if after.starts_with(b"--") {
            return Ok(parts);
        }
        rest = strip(after, line_break).ok_or("expecting a new Part")?;
    }
}

/// "FormName returns the name parameter if p has a Content-Disposition of type form-data. Otherwise
/// it returns the empty string." Parts without a name are passed over; those without a file name
/// are values.
fn part(header: &Header, content: &[u8]) -> Option<Entry> {
    let (kind, parameters) = media_type(header.get("content-disposition")?)?;
    let text = |name: &str| parameters.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let name = text("name").filter(|name| kind == "form-data" && !name.is_empty())?;
    // filepath.Base
    let filename = text("filename").map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
    let content = match header.get("content-transfer-encoding").map(Vec::as_slice) {
        // Decoded for every part of a form.
        Some(encoding) if encoding.eq_ignore_ascii_case(b"quoted-printable") => return None,
        _ => content.to_vec(),
    };
    Some((name, filename.filter(|name| !name.is_empty()), content))
}

/// "The first value": keys without regard to case, continuation lines joined, lines end in LF or
/// CRLF.
fn header(mut rest: &[u8]) -> Result<(Header, &[u8]), String> {
    let mut fields = HashMap::new();
    if rest.starts_with(b" ") || rest.starts_with(b"\t") {
        return Err("malformed MIME header initial line".to_owned());
    }
    loop {
        let (first, mut after) = line(rest).ok_or("unexpected EOF")?;
        let mut text = first.trim_ascii_end().to_vec();
        if text.is_empty() {
            return Ok((fields, after));
        }
        while after.starts_with(b" ") || after.starts_with(b"\t") {
            let (more, behind) = line(after).ok_or("unexpected EOF")?;
            text = [&text, b" ".as_slice(), more.trim_ascii()].concat();
            after = behind;
        }
        rest = after;
        let colon = text.iter().position(|byte| *byte == b':').ok_or("malformed MIME header line")?;
        let (key, value) = text.split_at(colon);
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if key.is_empty() || !key.iter().all(is_token) || value.contains(&0) {
            return Err("malformed MIME header line".to_owned());
        }
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        fields.entry(key).or_insert_with(|| value[1..].trim_ascii().to_vec());
    }
}

/// `mime.ParseMediaType`: a duplicate parameter is an error, so is text behind a value; blanks may
/// surround the semicolon only.
fn media_type(text: &[u8]) -> Option<(String, HashMap<String, Vec<u8>>)> {
    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    let (kind, mut rest) = text.split_at(end);
    let mut parameters = HashMap::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || rest == b";" {
            break;
        }
        rest = strip(rest, b";")?.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let name = String::from_utf8_lossy(&rest[..equals]).to_ascii_lowercase();
        let (value, after) = value(&rest[equals + 1..])?;
        if parameters.insert(name, value).is_some() {
            return None;
        }
        rest = after;
    }
    let extended: Vec<String> = parameters.keys().filter(|name| name.contains('*')).cloned().collect();
    for name in extended {
        let value = parameters.remove(&name)?;
        let decoded =
            name.ends_with('*').then(|| strip(&value.to_ascii_lowercase(), b"utf-8''").map(<[u8]>::to_vec));
        if let Some(Some(decoded)) = decoded {
            parameters.insert(name.trim_end_matches('*').to_owned(), decoded);
        }
    }
    Some((String::from_utf8_lossy(kind).trim().to_ascii_lowercase(), parameters))
}

/// A token, or a quoted string in which a backslash escapes a quote, a backslash and other special
/// characters.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    const SPECIAL: &[u8] = b"()<>@,;:\\\"/[]?=";
    let Some(quoted) = strip(text, b"\"") else {
        let is_token = |byte: &u8| byte.is_ascii_graphic() && !SPECIAL.contains(byte);
        let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_vec(), &text[end..]));
    };
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match (quoted.get(at)?, quoted.get(at + 1)) {
            (b'"', _) => return Some((value, &quoted[at + 1..])),
            (b'\\', Some(next)) if SPECIAL.contains(next) => {
                value.push(*next);
                at += 1;
            }
            (b'\r' | b'\n', _) => return None,
            (byte, _) => value.push(*byte),
        }
        at += 1;
    }
}

/// A part's bytes up to the line break in front of a delimiter, which may come at once.
fn content<'a>(rest: &'a [u8], line_break: &[u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let ends = |after: &[u8]| after.is_empty() || b" \t\r\n-".contains(&after[0]);
    if let Some(after) = strip(rest, delimiter).filter(|after| ends(after)) {
        return Some((b"", after));
    }
    let whole = [line_break, delimiter].concat();
    let place = (0..rest.len()).find(|at| strip(&rest[*at..], &whole).is_some_and(ends))?;
    Some((&rest[..place], &rest[place + whole.len()..]))
}

fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some(text.split_at(end + 1))
}

fn strip<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(start)
}

/// Blanks behind a boundary.
fn trimmed(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| b" \t".contains(byte)).count();
    &text[blanks..]
}
