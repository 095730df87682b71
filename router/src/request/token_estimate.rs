//! The tokens that a request is expected to take. Limits reserve them, and the `usage` of the
//! answer corrects them.

use llm_balancer_config::Deployment;

use crate::http::json::uint;
use crate::http::multipart::Form;
use crate::http::route::{COMPACT, MESSAGES, ModelRoute, RESPONSES};
use crate::request::parse::{ParsedRequest, Payload};
use crate::request::prompt_tokens::{TokenCount, add_audio, add_image, add_prompt};

/// Members that hold a prompt, of all routes.
const PROMPTS: [&str; 10] = [
    "messages", "prompt", "input", "instructions", "system", "suffix", "query", "documents", "image",
    "images",
];

/// Members that models read as JSON text.
const SCHEMAS: [&str; 4] = ["tools", "functions", "response_format", "text"];

/// Members that limit an answer's length. Some clients send a negative value for no limit.
const LENGTHS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// Members that set the number of a route's answers. A server ignores others, and its one answer must
/// not count as a part of several.
fn answer_counts(route: ModelRoute) -> &'static [&'static str] {
    match route.suffix {
        "/completions" => &["n", "best_of"],
        "/chat/completions" => &["n"],
        _ => &[],
    }
}

/// The expected tokens of a request, as far as they do not depend on the deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenEstimate {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of each answer at most.
    pub lengths: Lengths,
    /// Number of answers; 0 for routes whose answers take no completion tokens.
    pub answers: u64,
}

/// Limits of an answer's length, by the names in [`LENGTHS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths([u32; 3]);

/// A member that is not sent.
const NONE: u32 = u32::MAX;
/// A member that is sent and bounds nothing, such as -1. The provider gets it in place of the
/// deployment's default.
const UNBOUNDED: u32 = NONE - 1;

impl Default for Lengths {
    fn default() -> Self {
        Self([NONE; 3])
    }
}

impl Lengths {
    /// Reads the limits. `value` returns a member by its name, as JSON.
    fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let length = |json| u32::try_from(uint(json)?).ok().filter(|length| *length < UNBOUNDED);
        Self(LENGTHS.map(|name| value(name).map_or(NONE, |json| length(json).unwrap_or(UNBOUNDED))))
    }

    /// The limits that a deployment sets if the client sets none.
    pub fn of(deployment: &Deployment) -> Self {
        Self::read(|name| {
            let member = deployment.defaults.iter().find(|member| member.key == name)?;
            Some(member.json.as_str())
        })
    }

    /// Each limit, or the default for it.
    pub fn or(self, defaults: &Self) -> Self {
        let [first, second, third] = self.0;
        let [a, b, c] = defaults.0;
        let or = |own, default| if own == NONE { default } else { own };
        Self([or(first, a), or(second, b), or(third, c)])
    }

    /// The limit that counts: of several the longest, because providers differ in which one they
    /// obey.
    pub fn longest(&self) -> Option<u64> {
        let longest = self.0.into_iter().filter(|length| *length != NONE).max();
        longest.filter(|length| *length != UNBOUNDED).map(u64::from)
    }
}

impl TokenEstimate {
    /// Estimates a request. Counting tokens takes none.
    pub fn of(parsed: &ParsedRequest<'_>, route: ModelRoute) -> Self {
        match &parsed.payload {
            _ if route.only_counts() => Self::default(),
            Payload::Json(sent) => {
                let value = |name: &str| sent.present(name);
                let prompt = Self { prompt: prompt(value), ..Self::default() };
                if completes(route) {
                    Self { lengths: Lengths::read(value), answers: answers(route, value), ..prompt }
                } else {
                    prompt
                }
            }
            Payload::Form(form) => Self { prompt: form_prompt(form, route), ..Self::default() },
        }
    }
}

/// Whether a route's answers take completion tokens.
fn completes(route: ModelRoute) -> bool {
    matches!(route.suffix, "/chat/completions" | "/completions" | RESPONSES | COMPACT | MESSAGES)
}

fn answers<'a>(route: ModelRoute, value: impl Fn(&str) -> Option<&'a str>) -> u64 {
    answer_counts(route).iter().filter_map(|name| uint(value(name)?)).max().unwrap_or(1).max(1)
}

fn prompt<'a>(value: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let mut count = TokenCount::default();
    PROMPTS.iter().filter_map(|name| value(name)).for_each(|json| add_prompt(&mut count, json));
    SCHEMAS.iter().filter_map(|name| value(name)).for_each(|json| count.add_text(json));
    count.total()
}

/// The text of a form counts as text, and its files as recordings or images, by route.
fn form_prompt(form: &Form<'_>, route: ModelRoute) -> u64 {
    let mut count = TokenCount::default();
    PROMPTS.iter().filter_map(|name| form.field(name)).for_each(|text| count.add_text(text));
    for bytes in form.files() {
        if route.suffix.starts_with("/audio/") {
            add_audio(&mut count, bytes);
        } else {
            add_image(&mut count);
        }
    }
    count.total()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers::Headers;
    use crate::http::route::Route;
    use crate::request::parse::Request;

    fn estimate(path: &str, kind: &str, body: &str) -> TokenEstimate {
        let Route::Model(route, _) = Route::parse(path) else { panic!("{path}") };
        let headers: Headers = [("content-type", kind)].into_iter().collect();
        let request =
            Request::new(route, None, "", &headers, crate::request::routing_params::AllowedParams::default())
                .unwrap();
        TokenEstimate::of(&request.parsed(body.as_bytes()).unwrap(), route)
    }

    fn chat(members: &str) -> TokenEstimate {
        estimate("/chat/completions", "", &format!(r#"{{"model":"g","messages":["12345"]{members}}}"#))
    }

    fn deployment(params: &str) -> Deployment {
        let yaml = format!(
            "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://a.test', api_key: k{params}}}\n"
        );
        let config = llm_balancer_config::read("config.yaml", &yaml, &|_| None).config.unwrap();
        config.deployments[0].clone()
    }

    #[test]
    fn a_prompt_takes_a_token_for_every_four_bytes() {
        assert_eq!(chat("").prompt, 3, "nine bytes: [\"12345\"]");
        assert_eq!(chat(r#","tools":[{}],"user":"does not count","instructions":null"#).prompt, 4);
        for (path, body, prompt) in [
            ("/completions", r#"{"model":"g","prompt":"123456"}"#, 2),
            ("/embeddings", r#"{"model":"g","input":"1234567"}"#, 3),
            ("/responses", r#"{"model":"g","input":"123456","instructions":"12"}"#, 3),
            ("/responses", r#"{"model":"g"}"#, 0),
        ] {
            assert_eq!(estimate(path, "", body).prompt, prompt, "{path} {body}");
        }
    }

    #[test]
    fn schemas_are_read_by_models_and_metadata_is_not() {
        let schema = r#"[{"type":"function","function":{"name":"f","parameters":{"image_url":"string"}}}]"#;
        let bytes = schema.len() as u64;
        for name in ["tools", "functions", "response_format"] {
            let expected = (9 + bytes).div_ceil(4);
            assert_eq!(chat(&format!(r#","{name}":{schema}"#)).prompt, expected, "{name}");
        }
        let long = "x".repeat(4000);
        assert_eq!(
            chat(&format!(r#","metadata":{{"a":"{long}"}},"user":"{long}","stop":"{long}""#)).prompt,
            3
        );
    }

    #[test]
    fn a_message_of_anthropics_counts_its_system_prompt_its_tools_and_its_blocks() {
        let messages = |members: &str| {
            let body = format!(r#"{{"model":"g","max_tokens":50,"messages":["12345"]{members}}}"#);
            estimate("/v1/messages", "", &body)
        };
        let plain = messages("");
        assert_eq!((plain.prompt, plain.lengths.longest(), plain.answers), (3, Some(50), 1));
        assert_eq!(
            messages(r#","system":[{"type":"text","text":"a"}],"metadata":{"user_id":"u"}"#).prompt,
            10
        );
        assert_eq!(messages(r#","tools":[{"name":"f","input_schema":{}}]"#).prompt, 11);
        let image = "iVBORw0K".repeat(1000);
        let image = format!(
            r#","system":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}}]"#
        );
        assert!((765..800).contains(&messages(&image).prompt), "{}", messages(&image).prompt);
        let counted = estimate("/v1/messages/count_tokens", "", r#"{"model":"g","messages":["12345"]}"#);
        assert_eq!(counted, TokenEstimate::default());
    }

    #[test]
    fn token_ids_count_by_element_and_documents_as_text() {
        for (path, body, prompt) in [
            ("/completions", r#"{"model":"g","prompt":[1,22,333]}"#, 3),
            ("/completions", r#"{"model":"g","prompt":[[1,22],[333]]}"#, 3),
            ("/embeddings", r#"{"model":"g","input":[100000,100001,100002,100003]}"#, 4),
            ("/embeddings", r#"{"model":"g","input":["ab","cd"]}"#, 3),
            ("/rerank", r#"{"model":"g","query":"12","documents":["1234",{"text":"a"}]}"#, 7),
        ] {
            assert_eq!(estimate(path, "", body).prompt, prompt, "{path} {body}");
        }
    }

    #[test]
    fn of_several_limits_the_longest_counts_for_each_answer() {
        for (members, length, answers) in [
            ("", None, 1),
            (r#","n":2"#, None, 2),
            (r#","n":2,"best_of":5"#, None, 2),
            (r#","max_tokens":null"#, None, 1),
            (r#","max_tokens":"many""#, None, 1),
            (r#","max_tokens":-1"#, None, 1),
            (r#","max_tokens":0"#, Some(0), 1),
            (r#","max_tokens":100"#, Some(100), 1),
            (r#","max_tokens":1e2"#, Some(100), 1),
            (r#","max_tokens":7,"max_tokens":100"#, Some(100), 1),
            (r#","max_tokens":100,"max_completion_tokens":50"#, Some(100), 1),
            (r#","max_tokens":50,"max_completion_tokens":100"#, Some(100), 1),
            (r#","max_tokens":100,"max_completion_tokens":null"#, Some(100), 1),
            (r#","max_output_tokens":9,"n":null"#, Some(9), 1),
            (r#","max_tokens":100,"n":0"#, Some(100), 1),
            (r#","max_tokens":18446744073709551615,"n":2"#, None, 2),
            (r#","max_tokens":1e99"#, None, 1),
        ] {
            let estimate = chat(members);
            assert_eq!((estimate.lengths.longest(), estimate.answers), (length, answers), "{members}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_answered_in_tokens() {
        for path in ["/embeddings", "/moderations", "/audio/speech"] {
            assert_eq!(estimate(path, "", r#"{"model":"g","input":"x"}"#).answers, 0, "{path}");
        }
        let completion = r#"{"model":"g","prompt":"x","n":2,"best_of":5}"#;
        assert_eq!(estimate("/completions", "", completion).answers, 5);
        assert_eq!(estimate("/responses", "", r#"{"model":"g","input":"x","n":9}"#).answers, 1);
        let image = estimate("/images/generations", "", r#"{"model":"g","prompt":"x","n":2}"#);
        assert_eq!(image.answers, 0);
    }

    #[test]
    fn the_members_of_extra_body_count_in_place_of_the_bodys_own() {
        let own = r#"{"model":"g","messages":[{"role":"user","content":"12345678"}],"max_tokens":9}"#;
        let other = r#"{"model":"g","messages":[],"max_tokens":1,"extra_body":{"messages":[{"role":"user","content":"12345678"}],"max_tokens":9}}"#;
        assert_eq!(estimate("/chat/completions", "", own), estimate("/chat/completions", "", other));
    }

    #[test]
    fn the_text_of_a_form_counts_as_text_and_its_files_by_what_they_are() {
        let file = |name: &str, length| {
            let file = "a".repeat(length);
            format!(
                "--X\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n{file}\r\n"
            )
        };
        let form = |files: &str| {
            format!(
                "{files}--X\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\n12345678\r\n\
                 --X\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ng\r\n--X--\r\n"
            )
        };
        for (path, files, prompt) in [
            ("/audio/transcriptions", file("file", 100_000), 2 + 100),
            ("/audio/translations", file("file", 25_000_000), 2 + 3000),
            ("/images/edits", file("image[]", 100_000) + &file("mask", 10), 2 + 2 * 765),
            ("/images/edits", String::new(), 2),
        ] {
            let estimate = estimate(path, "multipart/form-data; boundary=X", &form(&files));
            assert_eq!(estimate, TokenEstimate { prompt, ..TokenEstimate::default() }, "{path}");
        }
    }

    #[test]
    fn a_deployment_may_have_a_length_of_its_own_for_what_the_client_leaves_open() {
        assert_eq!(Lengths::of(&deployment("")).longest(), None);
        let own = Lengths::of(&deployment(", max_tokens: 30"));
        assert_eq!(own.longest(), Some(30));
        for (members, expected) in [
            ("", 30),
            (r#","max_tokens":5"#, 5),
            // Both are sent on.
            (r#","max_completion_tokens":5"#, 30),
            (r#","max_completion_tokens":50"#, 50),
        ] {
            assert_eq!(chat(members).lengths.or(&own).longest(), Some(expected), "{members}");
        }
    }

    #[test]
    fn a_length_without_bound_counts_for_none_beside_one_of_the_deployment() {
        let own = Lengths::of(&deployment(", max_tokens: 30"));
        for members in [
            r#","max_tokens":-1"#,
            r#","max_tokens":1e99"#,
            r#","max_tokens":-1,"max_completion_tokens":5"#,
            r#","max_completion_tokens":-1"#,
        ] {
            assert_eq!(chat(members).lengths.or(&own).longest(), None, "{members}");
        }
        let unbounded = Lengths::of(&deployment(", max_tokens: -1"));
        assert_eq!(chat("").lengths.or(&unbounded).longest(), None);
        assert_eq!(chat(r#","max_tokens":5"#).lengths.or(&unbounded).longest(), Some(5));
        assert_eq!(chat(r#","max_tokens":null"#).lengths.or(&own).longest(), Some(30));
    }
}
