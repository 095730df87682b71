//! Fallbacks, tags and mock errors that a request sets for itself, in its body or by headers.

use llm_balancer_config::{Config, Fallback};

use crate::request::fallbacks_param::{self, Room};
use crate::request::mock::Mock;
use crate::request::refusal::Refusal;
use crate::request::tags_param;

/// How a request is to be routed. The empty value, which most requests have, costs no allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutingParams {
    /// `fallbacks`, in place of the configuration's.
    pub fallbacks: Option<Vec<Fallback>>,
    /// `context_window_fallbacks`, likewise.
    pub context_window_fallbacks: Option<Vec<Fallback>>,
    /// `content_policy_fallbacks`, likewise.
    pub content_policy_fallbacks: Option<Vec<Fallback>>,
    /// `disable_fallbacks: true`
    pub disable_fallbacks: bool,
    /// `tags`, `metadata.tags`, `x-litellm-tags`, each tag once; empty if deployments are not
    /// filtered by tags.
    pub tags: Vec<String>,
    /// `mock_testing_*: true`
    pub mock: Option<Mock>,
}

/// What the configuration lets a request set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowedParams {
    /// `general_settings.forward_client_headers_to_llm_api`
    pub forwarding: bool,
    /// `session_affinity` or `deployment_affinity`, of any group.
    pub affinity: bool,
    /// `enable_tag_filtering`, of the file or of a deployment.
    pub tags: bool,
    /// `general_settings.dangerously_allow_mock_testing_request_params`
    pub mocks: bool,
}

impl AllowedParams {
    /// What a configuration allows.
    pub fn of(config: &Config) -> Self {
        Self {
            forwarding: config.server.forward_client_headers,
            affinity: config.deployments.iter().any(|own| own.affinity.sessions || own.affinity.callers),
            tags: config.router.tag_filtering
                || config.deployments.iter().any(|deployment| deployment.tag_filtering == Some(true)),
            mocks: config.router.mock_testing,
        }
    }
}

/// The members of a body that set routing parameters, as JSON.
#[derive(Default)]
struct RawParams<'a> {
    fallbacks: Option<&'a str>,
    context_window: Option<&'a str>,
    content_policy: Option<&'a str>,
    disable: Option<&'a str>,
    tags: Option<&'a str>,
    metadata: Option<&'a str>,
    litellm_metadata: Option<&'a str>,
    rate_limit_mock: Option<&'a str>,
    fallbacks_mock: Option<&'a str>,
    context_mock: Option<&'a str>,
    context_window_mock: Option<&'a str>,
    content_policy_mock: Option<&'a str>,
}

impl<'a> RawParams<'a> {
    /// Reads each member once; of repeated ones the last counts.
    fn among<'k>(members: impl Iterator<Item = (&'k str, &'a str)>) -> Self {
        let mut raw = Self::default();
        for (key, value) in members {
            let place = match key {
                "fallbacks" => &mut raw.fallbacks,
                "context_window_fallbacks" => &mut raw.context_window,
                "content_policy_fallbacks" => &mut raw.content_policy,
                "disable_fallbacks" => &mut raw.disable,
                "tags" => &mut raw.tags,
                "metadata" => &mut raw.metadata,
                "litellm_metadata" => &mut raw.litellm_metadata,
                "mock_testing_rate_limit_error" => &mut raw.rate_limit_mock,
                "mock_testing_fallbacks" => &mut raw.fallbacks_mock,
                // LiteLLM reads this name, and documents the next one.
                "mock_testing_context_fallbacks" => &mut raw.context_mock,
                "mock_testing_context_window_fallbacks" => &mut raw.context_window_mock,
                "mock_testing_content_policy_fallbacks" => &mut raw.content_policy_mock,
                _ => continue,
            };
            *place = Some(value).filter(|value| *value != "null");
        }
        raw
    }

    /// The mock error; of several the one that LiteLLM checks first.
    fn mock(&self, allowed: bool) -> Result<Option<Mock>, Refusal> {
        let mocks = [
            (self.fallbacks_mock, Mock::Fallbacks, "mock_testing_fallbacks"),
            (self.context_mock, Mock::ContextWindow, "mock_testing_context_fallbacks"),
            (self.context_window_mock, Mock::ContextWindow, "mock_testing_context_window_fallbacks"),
            (self.content_policy_mock, Mock::ContentPolicy, "mock_testing_content_policy_fallbacks"),
            (self.rate_limit_mock, Mock::RateLimit, "mock_testing_rate_limit_error"),
        ];
        match mocks.into_iter().find(|(value, ..)| *value == Some("true")) {
            Some((_, _, name)) if !allowed => Err(Refusal::MockTestingOff(name.to_owned())),
            found => Ok(found.map(|(_, mock, _)| mock)),
        }
    }

    fn disable_fallbacks(&self) -> Result<bool, Refusal> {
        match self.disable {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::Parameter("disable_fallbacks".to_owned(), "true or false")),
        }
    }
}

impl RoutingParams {
    /// Reads the members of a body, or the fields of a form, whose lists are JSON as well. `tags`
    /// are those of the headers, and `body` is the length of the body; with `keeps_metadata`,
    /// `metadata` is for the provider and not read.
    ///
    /// # Errors
    /// A [`Refusal`] for a parameter that is invalid, too large or not allowed.
    pub fn read<'k, 'a>(
        members: impl Iterator<Item = (&'k str, &'a str)>,
        tags: &[String],
        allowed: AllowedParams,
        keeps_metadata: bool,
        body: usize,
    ) -> Result<Self, Refusal> {
        let raw = RawParams::among(members);
        let mut room = Room::of(body);
        let mut list = |name, value: Option<&str>| {
            value.map(|text| fallbacks_param::read(name, text, &mut room)).transpose()
        };
        let metadata = raw.metadata.filter(|_| !keeps_metadata);
        Ok(Self {
            mock: raw.mock(allowed.mocks)?,
            fallbacks: list("fallbacks", raw.fallbacks)?,
            context_window_fallbacks: list("context_window_fallbacks", raw.context_window)?,
            content_policy_fallbacks: list("content_policy_fallbacks", raw.content_policy)?,
            disable_fallbacks: raw.disable_fallbacks()?,
            tags: if allowed.tags {
                tags_param::read(tags, raw.tags, [metadata, raw.litellm_metadata])?
            } else {
                Vec::new()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;

    const ALL: AllowedParams = AllowedParams { forwarding: false, affinity: false, tags: true, mocks: true };

    fn params_as(allowed: AllowedParams, body: &str) -> Result<RoutingParams, Refusal> {
        let object = Object::parse(body.as_bytes()).unwrap();
        let members = object.members().iter().map(|member| (&*member.key, member.value));
        RoutingParams::read(members, &["header".to_owned()], allowed, false, 0)
    }

    fn routing(body: &str) -> RoutingParams {
        params_as(ALL, body).unwrap()
    }

    #[test]
    fn most_requests_set_no_routing_parameter() {
        let body = r#"{"model":"g","messages":[],"metadata":{"tags":["a"]},"tags":["b"]}"#;
        let allowed = AllowedParams { tags: false, ..ALL };
        assert_eq!(params_as(allowed, body).unwrap(), RoutingParams::default());
        let body = r#"{"fallbacks":null,"disable_fallbacks":false,"mock_testing_fallbacks":false}"#;
        assert_eq!(params_as(allowed, body).unwrap(), RoutingParams::default());
    }

    #[test]
    fn each_kind_of_fallback_has_a_list_of_its_own() {
        let routing = routing(
            r#"{"fallbacks":["a"],"context_window_fallbacks":["b"],"content_policy_fallbacks":[],
                "disable_fallbacks":true}"#,
        );
        let first = |list: Option<Vec<Fallback>>| list.unwrap()[0].targets[0].model.to_string();
        assert_eq!(first(routing.fallbacks), "a");
        assert_eq!(first(routing.context_window_fallbacks), "b");
        assert_eq!(routing.content_policy_fallbacks, Some(Vec::new()));
        assert!(routing.disable_fallbacks);
    }

    #[test]
    fn of_a_repeated_parameter_the_last_counts() {
        assert_eq!(routing(r#"{"fallbacks":["a"],"fallbacks":null}"#).fallbacks, None);
        assert!(!routing(r#"{"disable_fallbacks":true,"disable_fallbacks":false}"#).disable_fallbacks);
    }

    #[test]
    fn the_bound_on_targets_is_one_for_all_three_lists() {
        let names = |count| vec![r#""a""#; count].join(",");
        let body = |count| {
            format!(r#"{{"fallbacks":[{}],"content_policy_fallbacks":[{}]}}"#, names(25), names(count))
        };
        assert!(params_as(ALL, &body(25)).is_ok());
        assert!(
            matches!(params_as(ALL, &body(26)), Err(Refusal::Parameter(name, _)) if name == "content_policy_fallbacks")
        );
    }

    #[test]
    fn tags_of_header_body_and_metadata_are_joined() {
        let body = r#"{"tags":["a","header"],"metadata":{"tags":["b"],"user":1},"litellm_metadata":{"tags":["c",""]}}"#;
        assert_eq!(routing(body).tags, ["header", "a", "b", "c"]);
    }

    #[test]
    fn metadata_that_is_the_providers_is_left_alone() {
        let read = |keeps| {
            let members = [("metadata", r#"{"tags":"for the provider"}"#)].into_iter();
            RoutingParams::read(members, &[], ALL, keeps, 0)
        };
        assert_eq!(read(true), Ok(RoutingParams::default()));
        assert!(read(false).is_err());
    }

    #[test]
    fn mock_errors_are_asked_for_by_name_the_documented_one_included() {
        for (name, mock) in [
            ("rate_limit_error", Mock::RateLimit),
            ("fallbacks", Mock::Fallbacks),
            ("context_fallbacks", Mock::ContextWindow),
            ("context_window_fallbacks", Mock::ContextWindow),
            ("content_policy_fallbacks", Mock::ContentPolicy),
        ] {
            let name = format!("mock_testing_{name}");
            let body = format!(r#"{{"{name}":true}}"#);
            assert_eq!(routing(&body).mock, Some(mock), "{name}");
            let off = params_as(AllowedParams { mocks: false, ..ALL }, &body);
            assert_eq!(off, Err(Refusal::MockTestingOff(name)));
        }
    }

    #[test]
    fn a_switch_is_true_or_false() {
        let refused = params_as(ALL, r#"{"disable_fallbacks":"yes"}"#);
        assert_eq!(refused, Err(Refusal::Parameter("disable_fallbacks".into(), "true or false")));
    }
}
