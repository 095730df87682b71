//! Whatever members a body has, every reader of the rewritten body finds the same model, and no
//! dropped member.

use crate::common::{Answer, CHAT, World};
use proptest::prelude::*;
use proptest::sample::select;

const FILE: &str = "
model_list:
- model_name: g
  litellm_params: {model: openai/m, api_base: 'http://p.test/v1', api_key: k, extra_body: {seed: 1}, additional_drop_params: [user]}
- {model_name: m, litellm_params: {model: openai/m, api_base: 'http://p.test/v1', api_key: k}}
";

/// Names as JSON text: those that matter here in several spellings, and others.
const NAMES: [&str; 18] = [
    "model", "Model", "MODEL", "mod\\u0065l", "m\\u006Fdel", "\\u004dodel", "model ", "\\ud800model",
    "stream", "ſtream", "Stream", "seed", "SEED", "user", "\\u0055ser", "api_\\u212Aey", "n",
    "\\ud83d\\ude00",
];

const VALUES: [&str; 8] =
    ["\"g\"", "\"m\"", "\"evil\"", "true", "false", "{}", "[1e400,\"\\udc00\"]", "null"];

/// The members of an object with their names' escapes resolved, by a reader of our own.
fn members(body: &str) -> Vec<(String, String)> {
    let pairs = serde_json::from_str::<Pairs>(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    pairs.0
}

struct Pairs(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) =
                    map.next_entry::<Box<serde_json::value::RawValue>, Box<serde_json::value::RawValue>>()?
                {
                    // A reader that cannot make text of half a surrogate pair puts something else
                    // in its place.
                    let text = serde_json::from_str(name.get()).unwrap_or_else(|_| format!("\u{fffd}{name}"));
                    pairs.push((text, value.get().to_owned()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// CooldownPolicy folding by Unicode's simple rules, as far as it ends in ASCII: what Go's reader
/// does.
fn go(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'ſ' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_finds_the_same_members(
        sent in proptest::collection::vec((select(NAMES.to_vec()), select(VALUES.to_vec())), 0..8),
        mark in any::<bool>(),
    ) {
        let all: Vec<String> = sent.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let body = format!("{}{{{}}}", if mark { "\u{feff}" } else { "" }, all.join(","));
        let response = World::of(FILE).post(CHAT, &[], body.as_bytes(), |_| Answer::Ok);
        let Some(sent_on) = response.sent else {
            prop_assert_eq!(response.status, 400, "{}", body);
            return Ok(());
        };
        let members = members(&sent_on.body);
        let of = |name: &str| -> Vec<&str> {
            members.iter().filter(|(own, _)| go(own) == name).map(|(_, value)| value.as_str()).collect()
        };
        prop_assert_eq!(of("model"), ["\"m\""], "{} became {}", body, sent_on.body);
        prop_assert!(of("api_key").is_empty() && of("stream").len() <= 1, "{}", sent_on.body);
        if sent_on.body.contains("\"seed\":1") {
            prop_assert_eq!(of("seed"), ["1"], "{}", sent_on.body);
            prop_assert!(of("user").is_empty(), "{}", sent_on.body);
        }
        let mut names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        prop_assert_eq!(names.len(), count, "{}", sent_on.body);
    }
}
