//! What a request is going to take of a deployment's tokens, guessed before anybody counts them: limits reserve it, and
//! the answer's own `usage` puts it right.

use llm_balancer_config::Deployment;

use crate::json::count;
use crate::request::{Facts, Payload};
use crate::route::ModelRoute;

/// Bytes of English text that make one token, as OpenAI's own rule of thumb has it.
const BYTES_PER_TOKEN: u64 = 4;

/// Where a prompt stands, by route. Each is counted as JSON text, quotes and roles included: they take tokens as well.
const PROMPTS: [&str; 5] = ["messages", "prompt", "input", "instructions", "tools"];

/// Limits of an answer's length, the one that goes before the others first. A negative one, which some clients send for
/// no limit, is none.
const LENGTHS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// Tokens that a request is expected to take. Where the client sets no length, the deployment's own default counts, and
/// where that has none, what its answers took on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Of what the client sent.
    pub prompt: u64,
    /// Of the answers at most; `None` if the client sets no limit.
    pub completion: Option<u64>,
}

impl Estimate {
    /// Reads it off a request.
    pub fn of(facts: &Facts<'_>, route: ModelRoute) -> Self {
        let prompt = match &facts.payload {
            Payload::Json(object) => bytes(|name| object.present(name)),
            // A form's files are counted in seconds or pixels, not in tokens.
            Payload::Form(form) => bytes(|name| form.field(name)),
        };
        let completion = match &facts.payload {
            Payload::Json(object) if completes(route) => {
                let length = LENGTHS.iter().find_map(|name| count(object.present(name)?));
                let answers = object.present("n").and_then(count).unwrap_or(1).max(1);
                length.map(|length| length.saturating_mul(answers))
            }
            _ => Some(0),
        };
        Self { prompt: prompt.div_ceil(BYTES_PER_TOKEN), completion }
    }

    /// The length that a deployment gives to answers for which the client sets none.
    pub fn default_length(deployment: &Deployment) -> Option<u64> {
        LENGTHS.iter().find_map(|name| {
            let member = deployment.defaults.iter().find(|member| member.key == *name)?;
            count(&member.json)
        })
    }
}

/// Whether a route's answers take tokens by their length.
fn completes(route: ModelRoute) -> bool {
    matches!(route.suffix, "/chat/completions" | "/completions" | "/responses")
}

fn bytes<'a>(value: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let lengths = PROMPTS.iter().filter_map(|name| value(name)).map(|text| text.len() as u64);
    lengths.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;
    use crate::request::Request;
    use crate::route::Route;

    fn estimate(path: &str, kind: &str, body: &str) -> Estimate {
        let Route::Model(route, _) = Route::of(path) else { panic!("{path}") };
        let headers: Headers = [("content-type", kind)].into_iter().collect();
        let request = Request::new(route, None, "", &headers, crate::wishes::Permitted::default()).unwrap();
        Estimate::of(&request.facts(body.as_bytes()).unwrap(), route)
    }

    fn chat(members: &str) -> Estimate {
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
    fn a_limit_of_the_clients_counts_for_each_answer_that_it_wants() {
        for (members, expected) in [
            ("", None),
            (r#","n":2"#, None),
            (r#","max_tokens":null"#, None),
            (r#","max_tokens":"many""#, None),
            (r#","max_tokens":-1"#, None),
            (r#","max_tokens":100"#, Some(100)),
            (r#","max_tokens":1e2"#, Some(100)),
            (r#","max_tokens":7,"max_tokens":100"#, Some(100)),
            (r#","max_tokens":100,"max_completion_tokens":50"#, Some(50)),
            (r#","max_tokens":100,"max_completion_tokens":null"#, Some(100)),
            (r#","max_output_tokens":9,"n":null"#, Some(9)),
            (r#","max_tokens":100,"n":3"#, Some(300)),
            (r#","max_tokens":100,"n":0"#, Some(100)),
            (r#","max_tokens":18446744073709551615,"n":2"#, Some(u64::MAX)),
            (r#","max_tokens":1e99"#, Some(u64::MAX)),
        ] {
            assert_eq!(chat(members).completion, expected, "{members}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_answered_in_tokens() {
        for path in ["/embeddings", "/moderations", "/audio/speech"] {
            assert_eq!(estimate(path, "", r#"{"model":"g","input":"x"}"#).completion, Some(0), "{path}");
        }
        let image = estimate("/images/generations", "", r#"{"model":"g","prompt":"x","n":2}"#);
        assert_eq!(image.completion, Some(0));
    }

    #[test]
    fn of_a_form_the_text_counts_and_the_file_does_not() {
        let file = "a".repeat(1000);
        let form = format!(
            "--X\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{file}\r\n\
             --X\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\n12345678\r\n\
             --X\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ng\r\n--X--\r\n"
        );
        let estimate = estimate("/audio/transcriptions", "multipart/form-data; boundary=X", &form);
        assert_eq!(estimate, Estimate { prompt: 2, completion: Some(0) });
    }

    #[test]
    fn a_deployment_may_have_a_length_of_its_own() {
        assert_eq!(Estimate::default_length(&deployment("")), None);
        assert_eq!(Estimate::default_length(&deployment(", max_tokens: 30")), Some(30));
    }
}
