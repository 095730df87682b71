//! Stories of forms: those of real clients are served, those that readers could read in different ways are refused, and what goes
//! out holds what the configuration says. `integration/tests/forms.rs` shows the same cases to the readers of real providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on has failed"
)]

#[path = "../../integration/forms/cases.rs"]
mod cases;
mod common;

use cases::{Case, Entry, PARAMS, all, set};
use common::{Answer, RequestResult, Sent, World};
use serde_json::Value;
use wasm_bindgen_test::wasm_bindgen_test as story;

fn world() -> World {
    World::of(&format!(
        "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://p.test/v1', api_key: k, {PARAMS}}}\n"
    ))
}

fn post(case: &Case) -> RequestResult {
    world().post(&case.path, &[("content-type", &case.content_type)], &case.body, |_| Answer::Ok)
}

/// Takes off what the text has to begin with.
fn take<'a>(text: &'a str, start: &str) -> &'a str {
    text.strip_prefix(start).unwrap_or_else(|| panic!("expected {start:?} in front of {text:?}"))
}

/// Reads a form that is in the plainest form there is, to the letter, and nothing else.
fn read(sent: &Sent) -> Vec<Entry> {
    let boundary = take(sent.header("content-type"), "multipart/form-data; boundary=").trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut entries = Vec::new();
    let mut rest = take(&sent.body, &delimiter);
    while rest != "--\r\n" {
        rest = take(rest, "\r\nContent-Disposition: form-data; name=\"");
        let (name, after) = rest.split_once('"').unwrap();
        let (filename, after) = match after.strip_prefix("; filename=\"") {
            Some(after) => after.split_once('"').map(|(name, after)| (Some(name.to_owned()), after)).unwrap(),
            None => (None, after),
        };
        let after = match after.strip_prefix("\r\nContent-Type: ").filter(|_| filename.is_some()) {
            Some(after) => after.split_at(after.find("\r\n").unwrap()).1,
            None => after,
        };
        let (content, after) = take(after, "\r\n\r\n").split_once(&format!("\r\n{delimiter}")).unwrap();
        let odd = |letter: char| letter.is_control() || letter == '\\';
        assert!(
            !name.contains(odd) && !filename.iter().any(|name| name.contains(odd)),
            "{name} {filename:?}"
        );
        entries.push((name.to_owned(), filename, content.as_bytes().to_vec()));
        rest = after;
    }
    assert_eq!(sent.body.split(&delimiter).count().checked_sub(2), Some(entries.len()), "{}", sent.body);
    entries
}

#[story(unsupported = test)]
fn of_every_form_the_provider_gets_what_was_understood_or_nothing() {
    let cases = all();
    assert!(cases.iter().filter(|case| case.sent.is_none()).count() > 100, "most of them are odd");
    for case in cases {
        let told = post(&case);
        let Some(expected) = case.sent else {
            assert_eq!((told.status, told.sent.is_none()), (400, true), "{}: {}", case.about, told.body);
            continue;
        };
        let sent = told.sent.unwrap_or_else(|| panic!("{}: {}", case.about, told.body));
        let mut read = read(&sent);
        let mut expected = [set("m").to_vec(), expected].concat();
        read.sort();
        expected.sort();
        assert_eq!(read, expected, "{}", case.about);
    }
}

#[story(unsupported = test)]
fn an_error_says_which_part_is_wrong_and_how() {
    let find = |about: &str| all().into_iter().find(|case| case.about == about).unwrap();
    for (about, expected) in [
        ("a folded line", "Invalid form: part 2 has a folded header line."),
        (
            "a file called model",
            "Invalid form: part 2 has a name that some readers take for the field 'model'.",
        ),
        ("no boundary", "Invalid form: expected a content-type of multipart/form-data with its boundary."),
        (
            "no last delimiter",
            "Invalid form: the last delimiter is missing: the body is cut off, or its lines do not end in CRLF.",
        ),
    ] {
        let error: Value = serde_json::from_str(&post(&find(about)).body).unwrap();
        assert_eq!(error["error"]["message"], expected, "{about}");
    }
}

#[story(unsupported = test)]
fn a_default_of_the_deployment_is_added_as_openais_clients_write_it() {
    let mut world = World::of(
        "model_list:\n- model_name: g\n  litellm_params: {model: openai/m, api_base: 'http://p.test/v1', api_key: k, \
         temperature: 0.5, prompt: 'say \"x\"', timestamp_granularities: [word, segment], include: [logprobs]}\n",
    );
    const MODEL: &str = "Content-Disposition: form-data; name=\"model\"\r\n\r\ng";
    let body = format!(
        "--XX\r\n{MODEL}\r\n--XX\r\nContent-Disposition: form-data; name=\"include[]\"\r\n\r\nown\r\n--XX--\r\n"
    );
    let kind = [("content-type", "multipart/form-data; boundary=XX")];
    let told = world.post("/v1/audio/transcriptions", &kind, body.as_bytes(), |_| Answer::Ok);
    let fields = read(&told.sent.unwrap());
    let mut fields: Vec<String> = fields
        .into_iter()
        .map(|(name, _, content)| format!("{name}={}", String::from_utf8(content).unwrap()))
        .collect();
    fields.sort();
    let expected = [
        "include[]=own",
        "model=m",
        "prompt=say \"x\"",
        "temperature=0.5",
        "timestamp_granularities[]=segment",
        "timestamp_granularities[]=word",
    ];
    assert_eq!(fields, expected);
}
