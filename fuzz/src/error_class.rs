//! Errors of providers. The class of an error depends on what its body says, and not on how it is
//! written: the order of members, blanks, escapes, members without a meaning.

use llm_balancer_router::testing::{ErrorClass, ProviderError, classify};
use llm_balancer_router::{Random, SplitMix};
use serde_json::{Map, Value};

/// Codes, messages and items that are read of a body, at most: of more, the order decides which.
const MOST_READ: usize = 16;

/// Two bytes are the status, one has what else is known of the error, and one is the seed of the
/// order; the rest is the body.
pub fn error_class(bytes: &[u8]) {
    let Some(([high, low, flags, seed], body)) = bytes.split_first_chunk().map(|(head, body)| (*head, body))
    else {
        return;
    };
    let status = u16::from_be_bytes([high, low]) % 700;
    let class = |body: &[u8]| -> ErrorClass {
        classify(&ProviderError {
            status,
            body,
            error_type: (flags & 1 != 0).then_some("ThrottlingException"),
            has_retry_after: flags & 2 != 0,
            is_wildcard: flags & 4 != 0,
            model: "gpt-4o",
            adds_stream_options: flags & 8 != 0,
        })
        .class
    };
    let own = class(body);
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    if count(&value) > MOST_READ {
        return;
    }
    let mut random = SplitMix::new(u64::from(seed));
    let other = shuffled(&value, &mut random);
    let compact = value.to_string();
    let own = if own == class(compact.as_bytes()) { own } else { panic!("{own:?}, but not of {compact}") };
    let pretty = serde_json::to_string_pretty(&other).expect("JSON");
    for same in [other.to_string(), pretty.replace('\n', "\r\n\t"), escaped(&other.to_string())] {
        assert_eq!(class(same.as_bytes()), own, "{status}: {compact} is {same}");
    }
}

/// Strings and numbers.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>().max(items.len()),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The same value with the members of objects in another order, and with one more.
fn shuffled(value: &Value, random: &mut SplitMix) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| shuffled(item, random)).collect(),
        Value::Object(members) => {
            let mut all: Vec<(String, Value)> =
                members.iter().map(|(name, value)| (name.clone(), shuffled(value, random))).collect();
            all.push(("x_request".to_owned(), Value::from("content_filter")));
            let mut mixed = Map::new();
            while !all.is_empty() {
                let place = random.below(all.len());
                let (name, value) = all.swap_remove(place);
                mixed.entry(name).or_insert(value);
            }
            Value::Object(mixed)
        }
        other => other.clone(),
    }
}

/// The same text with a letter of each name and string as an escape.
fn escaped(json: &str) -> String {
    let mut out = String::new();
    let mut is_first = false;
    let mut is_inside = false;
    let mut before = ' ';
    for letter in json.chars() {
        if letter == '"' && before != '\\' {
            is_inside = !is_inside;
            is_first = is_inside;
            out.push(letter);
        } else if is_first && letter.is_ascii_alphabetic() {
            out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            is_first = false;
        } else {
            is_first = false;
            out.push(letter);
        }
        before = if before == '\\' && letter == '\\' { ' ' } else { letter };
    }
    out
}
