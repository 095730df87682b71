//! The forms of `cases.json`: what a client sends, and what the provider is to get. Read by the
//! router's stories and by the tests on the real thing.

use serde_json::Value;

/// A form that a client sends.
pub struct Case {
    /// What is special about it.
    pub about: String,
    /// The route.
    pub path: String,
    /// The header.
    pub content_type: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// The parts that the provider gets, besides [`SET`]; `None` if it gets nothing.
    pub sent: Option<Vec<Entry>>,
}

/// A part: name, file name and content.
pub type Entry = (String, Option<String>, Vec<u8>);

/// What the cases' deployment has beside the model: a parameter that clients cannot send, and one
/// that they cannot set.
pub const PARAMS: &str = "additional_drop_params: [temperature], extra_body: {language: de}";

/// What [`PARAMS`] put into every form, with the deployment's model.
pub fn set(model: &str) -> [Entry; 2] {
    [("model", model), ("language", "de")]
        .map(|(name, value)| (name.to_owned(), None, value.as_bytes().to_vec()))
}

const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF";

fn model(group: &str) -> String {
    format!("Content-Disposition: form-data; name=\"model\"\r\n\r\n{group}")
}

/// All cases. In the file, a letter is a byte, and the group is called `g`.
pub fn all() -> Vec<Case> {
    let lines: Vec<Value> = serde_json::from_str(include_str!("cases.json")).expect("JSON");
    lines.iter().flat_map(cases).collect()
}

/// What one line of the file describes: a part is tried between an ordinary file and an ordinary
/// model, in both orders.
fn cases(line: &Value) -> Vec<Case> {
    let mut sent: Option<Vec<Entry>> = line["sent"].as_array().map(|sent| sent.iter().map(entry).collect());
    let boundary = text(&line["boundary"], "XX");
    let form = |parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
        bytes(&format!("{parts}--{boundary}--\r\n"))
    };
    let bodies = match (&line["body"], &line["parts"], &line["part"]) {
        (Value::String(body), ..) => vec![bytes(body)],
        (_, Value::Array(parts), _) => {
            vec![form(&parts.iter().filter_map(Value::as_str).collect::<Vec<_>>())]
        }
        (.., Value::String(part)) => {
            if let Some(sent) = &mut sent {
                sent.push(("file".to_owned(), Some("a.wav".to_owned()), b"RIFF".to_vec()));
            }
            vec![form(&[FILE, part, &model("g")]), form(&[&model("g"), part, FILE])]
        }
        _ => panic!("no form: {line}"),
    };
    let case = |body| Case {
        about: text(&line["about"], ""),
        path: text(&line["path"], "/v1/audio/transcriptions"),
        content_type: text(&line["content_type"], "multipart/form-data; boundary=XX"),
        body,
        sent: sent.clone(),
    };
    bodies.into_iter().map(case).collect()
}

fn text(value: &Value, default: &str) -> String {
    value.as_str().unwrap_or(default).to_owned()
}

/// `[name, content]`, or `[name, file name, content]`.
pub fn entry(value: &Value) -> Entry {
    let texts: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match texts[..] {
        [name, content] => (name.to_owned(), None, bytes(content)),
        [name, filename, content] => {
            (name.to_owned(), Some(String::from_utf8(bytes(filename)).expect("UTF-8")), bytes(content))
        }
        _ => panic!("no part: {value}"),
    }
}

/// A letter is a byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("a byte")).collect()
}
