//! `stream_options` that ask a provider for the usage of a stream, which it sends on request only
//! (BEHAVIOUR 9.3).

use llm_balancer_config::Deployment;

use crate::http::json::{Object, ObjectText, fold_case};
use crate::http::route::ModelRoute;
use crate::request::parse::{ParsedRequest, Payload};
use crate::upstream::params;

const NAME: &str = "stream_options";

/// Whether a request has to be changed for its stream to end with the usage. If so, neither the
/// client nor the deployment's parameters ask for the usage, and its event is removed from the
/// response, unless the file wants it there.
pub fn injects_usage(parsed: &ParsedRequest<'_>, route: ModelRoute, deployment: &Deployment) -> bool {
    if !may_inject(parsed, route, deployment)
        || (parsed.client_wants_usage && params::find(&deployment.extra_body, NAME).is_none())
    {
        return false;
    }
    effective(parsed, deployment).is_none_or(|options| {
        Object::parse(options.as_bytes()).is_ok_and(|options| !options.is_true("include_usage"))
    })
}

/// The `stream_options` to send where [`injects_usage`]: those that would be sent anyway, and
/// `include_usage`.
pub fn with_usage(parsed: &ParsedRequest<'_>, deployment: &Deployment) -> String {
    let options = effective(parsed, deployment).and_then(|options| Object::parse(options.as_bytes()).ok());
    let mut text = ObjectText::with_capacity(64);
    text.member(r#""include_usage""#, "true");
    let members = options.iter().flat_map(|options| options.members());
    for member in members.filter(|member| fold_case(&member.key) != "include_usage") {
        text.member(member.written, member.value);
    }
    text.finish()
}

/// Whether a provider may get the option. The Responses API sends its usage unasked, and other
/// routes lack the option. A deployment that lacks it has it among its drop_params.
fn may_inject(parsed: &ParsedRequest<'_>, route: ModelRoute, deployment: &Deployment) -> bool {
    parsed.stream
        && matches!(route.suffix, "/chat/completions" | "/completions")
        && !deployment.drop_params.iter().any(|name| name == NAME)
}

/// The options that would be sent. The provider refuses those that are not an object.
fn effective<'a>(parsed: &ParsedRequest<'a>, deployment: &'a Deployment) -> Option<&'a str> {
    params::effective(NAME, clients(parsed).filter(|options| *options != "null"), deployment)
}

/// Whether the client decides if the stream ends with the usage: by `include_usage`, or by options
/// that are no object, as LiteLLM has it for `always_include_stream_usage`.
pub fn client_decides(parsed: &ParsedRequest<'_>) -> bool {
    match clients(parsed).map(|options| Object::parse(options.as_bytes())) {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(options)) => options.get("include_usage").is_some(),
    }
}

/// Whether the client sent options.
pub fn client_sets_options(parsed: &ParsedRequest<'_>) -> bool {
    clients(parsed).is_some()
}

fn clients<'a>(parsed: &ParsedRequest<'a>) -> Option<&'a str> {
    match &parsed.payload {
        Payload::Json(sent) => sent.body.get(NAME),
        Payload::Form(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers::Headers;
    use crate::http::route::Route;
    use crate::request::parse::Request;
    use crate::upstream::body::rewritten;

    /// The body that a deployment with these params gets, and whether the usage event is then
    /// removed.
    fn sent(path: &str, params: &str, body: &str) -> (serde_json::Value, bool) {
        let yaml = format!(
            "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://a.test', api_key: k{params}}}\n"
        );
        let reading = llm_balancer_config::read("config.yaml", &yaml, &|_| None);
        let config = reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings));
        let deployment = &config.deployments[0];
        let Route::Model(route, _) = Route::parse(path) else { panic!("{path}") };
        let request = Request::new(
            route,
            None,
            "",
            &Headers::default(),
            crate::request::routing_params::AllowedParams::default(),
        )
        .unwrap();
        let parsed = request.parsed(body.as_bytes()).unwrap();
        let injects_usage = injects_usage(&parsed, route, deployment);
        let sent = rewritten(body.as_bytes(), &parsed, route, deployment, "m", injects_usage);
        let sent = sent.map_or_else(|| body.as_bytes().to_vec(), |sent| sent.joined(body.as_bytes()));
        let text = String::from_utf8(sent).unwrap();
        assert!(text.matches("\"stream_options\"").count() <= 1, "{text}");
        (serde_json::from_str(&text).unwrap(), injects_usage)
    }

    fn options(params: &str, members: &str) -> (String, bool) {
        let body = format!(r#"{{"model":"m","messages":[]{members}}}"#);
        let (sent, withheld) = sent("/chat/completions", params, &body);
        (sent.get("stream_options").map(ToString::to_string).unwrap_or_default(), withheld)
    }

    const ASKS: &str = r#"{"include_usage":true}"#;

    #[test]
    fn a_stream_is_asked_for_its_usage_and_nothing_else_changes() {
        let body = r#"{"model":"m","messages":[],"stream":true,"top_p":0.50}"#;
        let (chat, withheld) = sent("/chat/completions", "", body);
        assert_eq!(chat["stream_options"].to_string(), ASKS);
        assert_eq!(chat["top_p"], 0.5);
        assert!(withheld);
        let (completion, _) = sent("/completions", "", r#"{"model":"g","prompt":"","stream":true}"#);
        assert_eq!(completion["stream_options"].to_string(), ASKS);
    }

    #[test]
    fn the_options_of_the_client_are_merged() {
        for (members, expected, withheld) in [
            (r#","stream":true,"stream_options":{"include_usage":true}"#, ASKS, false),
            (r#","stream":true,"stream_options":{"include_usage":false}"#, ASKS, true),
            (r#","stream":true,"stream_options":{}"#, ASKS, true),
            (r#","stream":true,"stream_options":null"#, ASKS, true),
            (r#","stream":true,"stream_options":{"Include_Usage":false}"#, ASKS, true),
            (r#","stream":true,"stream_options":{"a\"b":[1]}"#, r#"{"include_usage":true,"a\"b":[1]}"#, true),
            (r#","stream":true,"extra_body":{"stream_options":{"x":1}}"#, ASKS, true),
            (r#","stream":true,"stream_options":3"#, "3", false),
            (r#","stream":false,"stream_options":{}"#, "", false),
            ("", "", false),
        ] {
            assert_eq!(options("", members), (expected.to_owned(), withheld), "{members}");
        }
    }

    #[test]
    fn the_options_of_the_deployment_are_kept() {
        let stream = r#","stream":true"#;
        let client = r#","stream":true,"stream_options":{"include_usage":true,"c":1}"#;
        for (params, members, expected, withheld) in [
            ("stream_options: {d: 1}", stream, r#"{"include_usage":true,"d":1}"#, true),
            ("stream_options: {include_usage: true}", stream, ASKS, false),
            ("stream_options: {d: 1}", client, r#"{"include_usage":true,"c":1}"#, false),
            ("extra_body: {stream_options: {d: 1}}", client, r#"{"include_usage":true,"d":1}"#, true),
            ("extra_body: {stream_options: {include_usage: true}}", stream, ASKS, false),
            ("additional_drop_params: [stream_options]", stream, "", false),
            ("additional_drop_params: [stream_options]", client, "", false),
        ] {
            let (sent, is_withheld) = options(&format!(", {params}"), members);
            assert_eq!((sent.as_str(), is_withheld), (expected, withheld), "{params} {members}");
        }
    }

    #[test]
    fn parameters_of_streams_in_the_file_go_out_with_streams_alone() {
        for params in [
            "stream_options: {d: 1}",
            "extra_body: {stream_options: {d: 1}}",
            "stream: true",
            "partial_images: 2",
        ] {
            for members in ["", r#","stream":false"#, r#","stream":null"#] {
                let body = format!(r#"{{"model":"m","messages":[]{members}}}"#);
                let (sent, _) = sent("/chat/completions", &format!(", {params}"), &body);
                for name in ["stream", "stream_options", "partial_images"] {
                    assert_eq!(sent.get(name), None, "{name} of {params} with {members:?}");
                }
            }
        }
        let (sent, _) =
            sent("/images/generations", ", partial_images: 2", r#"{"model":"g","prompt":"","stream":true}"#);
        assert_eq!(sent["partial_images"], 2);
    }

    #[test]
    fn a_route_without_the_parameter_does_not_get_it() {
        let (response, withheld) = sent("/responses", "", r#"{"model":"g","input":"","stream":true}"#);
        assert_eq!((response.get("stream_options"), withheld), (None, false));
    }
}
