//! NeedsLease a provider for the usage of a stream, which it tells only those who ask (BEHAVIOUR 9.3).

use llm_balancer_config::{Deployment, Member};

use crate::http::json::{Object, folded};
use crate::http::route::ModelRoute;
use crate::request::parse::{ParsedRequest, Payload};

/// Whether a request has to be changed for its stream to end with the usage. If so, neither the client nor the
/// deployment's own parameters want it told: the event is to be withheld from the client.
pub fn injects_usage(parsed: &ParsedRequest<'_>, route: ModelRoute, deployment: &Deployment) -> bool {
    if !may_ask(parsed, route, deployment) || (parsed.asks_usage && of(&deployment.extra_body).is_none()) {
        return false;
    }
    effective(parsed, deployment).is_none_or(|options| {
        Object::parse(options.as_bytes()).is_ok_and(|options| !options.is_true("include_usage"))
    })
}

/// The `stream_options` to send where [`injects_usage`]: what would be sent anyway, and `include_usage`.
pub fn with_usage(parsed: &ParsedRequest<'_>, route: ModelRoute, deployment: &Deployment) -> Option<String> {
    if !injects_usage(parsed, route, deployment) {
        return None;
    }
    let options = effective(parsed, deployment).and_then(|options| Object::parse(options.as_bytes()).ok());
    let mut text = String::from(r#"{"include_usage":true"#);
    let members = options.iter().flat_map(|options| options.members());
    for member in members.filter(|member| folded(&member.key) != "include_usage") {
        text.extend([",", member.written, ":", member.value]);
    }
    text.push('}');
    Some(text)
}

/// Responses tell their usage unasked, and other routes do not know the parameter. A deployment that does not either
/// has it among its drop_params.
fn may_ask(parsed: &ParsedRequest<'_>, route: ModelRoute, deployment: &Deployment) -> bool {
    parsed.stream
        && matches!(route.suffix, "/chat/completions" | "/completions")
        && !deployment.drop_params.iter().any(|name| name == "stream_options")
}

/// What would be sent: the deployment's extra_body goes before the client's own, and that before the defaults. Anything
/// but an object is the provider's to refuse.
fn effective<'a>(parsed: &ParsedRequest<'a>, deployment: &'a Deployment) -> Option<&'a str> {
    let client = match &parsed.payload {
        Payload::Json(object) => object.present("stream_options"),
        Payload::Form(_) => None,
    };
    let options = of(&deployment.extra_body).or(client).or_else(|| of(&deployment.defaults));
    options.filter(|options| *options != "null")
}

/// Whether the client sent any of its own.
pub fn are_the_clients(parsed: &ParsedRequest<'_>) -> bool {
    match &parsed.payload {
        Payload::Json(object) => object.get("stream_options").is_some(),
        Payload::Form(_) => false,
    }
}

fn of(params: &[Member]) -> Option<&str> {
    params.iter().find(|member| member.key == "stream_options").map(|member| member.json.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers::Headers;
    use crate::http::route::Route;
    use crate::request::parse::Request;
    use crate::upstream::body::rewritten;

    /// The body that a deployment with these params gets, and whether the usage is then to be withheld.
    fn sent(path: &str, params: &str, body: &str) -> (serde_json::Value, bool) {
        let yaml = format!(
            "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://a.test', api_key: k{params}}}\n"
        );
        let reading = llm_balancer_config::read("config.yaml", &yaml, &|_| None);
        let config = reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings));
        let deployment = &config.deployments[0];
        let Route::Model(route, _) = Route::of(path) else { panic!("{path}") };
        let request = Request::new(
            route,
            None,
            "",
            &Headers::default(),
            crate::request::routing_params::AllowedParams::default(),
        )
        .unwrap();
        let parsed = request.parsed(body.as_bytes()).unwrap();
        let sent = rewritten(body.as_bytes(), &parsed, route, deployment, "m", true);
        let sent = sent.map_or_else(|| body.as_bytes().to_vec(), |sent| sent.joined(body.as_bytes()));
        let text = String::from_utf8(sent).unwrap();
        assert!(text.matches("\"stream_options\"").count() <= 1, "{text}");
        (serde_json::from_str(&text).unwrap(), injects_usage(&parsed, route, deployment))
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
    fn what_the_client_says_is_merged() {
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
    fn what_the_deployment_says_keeps_its_word_on_everything_else() {
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
    fn what_the_file_says_about_streams_goes_out_with_streams_alone() {
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
    fn a_route_that_does_not_know_the_parameter_does_not_get_it() {
        let (response, withheld) = sent("/responses", "", r#"{"model":"g","input":"","stream":true}"#);
        assert_eq!((response.get("stream_options"), withheld), (None, false));
    }
}
