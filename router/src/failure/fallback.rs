//! Fallbacks of a group that cannot serve a request, and the request's body there (BEHAVIOUR 6).

use std::sync::Arc;

use llm_balancer_config::{Fallback, RouterSettings, Target, are_related};

use crate::failure::ErrorClass;
use crate::http::json::{ObjectText, quoted};
use crate::request::parse::Payload;
use crate::request::routing_params::RoutingParams;
use crate::request::sent_members::SentMembers;

/// The fallbacks of a request. They are names, so that the chain survives a reload of the
/// configuration.
#[derive(Clone, Debug, Default)]
pub struct FallbackChain {
    /// Groups and fallbacks so far. A fallback with parameters differs from the same group without.
    visited: Vec<Target>,
    /// What is left of each list, in reverse order. A list has the fallbacks of a target of the
    /// list before it.
    lists: Vec<Vec<Target>>,
    depth: u32,
}

/// The names under which a group that could not serve has fallbacks, the best first.
#[derive(Clone, Debug)]
pub struct FailedGroup<'a> {
    /// The model that the client requested, or the last fallback.
    pub requested: &'a str,
    /// What this stands for, if it is an alias; else the same.
    pub target: &'a str,
    /// The group that this leads to, as the file names it.
    pub label: Option<Arc<str>>,
    /// The groups whose fallbacks it has, too, as the file names them.
    pub groups: Vec<Arc<str>>,
}

impl FallbackChain {
    /// The fallback after a group that failed; `None` at the end of the chain.
    ///
    /// A fallback that fails is followed by its own fallbacks, `max_fallbacks` lists deep, and then
    /// by the rest of its list.
    pub fn next(
        &mut self,
        settings: &RouterSettings,
        routing: &RoutingParams,
        failed: &FailedGroup<'_>,
        class: ErrorClass,
    ) -> Option<Target> {
        if routing.disable_fallbacks {
            return None;
        }
        self.visit(failed.requested);
        self.visit(failed.target);
        let is_deepest = u32::try_from(self.lists.len()).is_ok_and(|depth| depth >= settings.max_fallbacks);
        if !is_deepest && let Some(targets) = find(list(settings, routing, class), failed) {
            self.lists.push(targets.iter().rev().cloned().collect());
        }
        let target = self.unvisited()?;
        self.visited.push(target.clone());
        self.depth = self.depth.saturating_add(1);
        Some(target)
    }

    /// Fallbacks so far.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    fn visit(&mut self, name: &str) {
        if !self.visited.iter().any(|target| *target.model == *name && target.overrides.is_empty()) {
            self.visited.push(Target { model: Arc::from(name), overrides: Vec::new() });
        }
    }

    /// The next target of the innermost list that has one.
    fn unvisited(&mut self) -> Option<Target> {
        while let Some(list) = self.lists.last_mut() {
            match list.pop() {
                Some(target) if self.visited.contains(&target) => {}
                Some(target) => return Some(target),
                None => drop(self.lists.pop()),
            }
        }
        None
    }
}

/// The list for an error. A list for its class is the only one, also if it does not have the group.
fn list<'a>(settings: &'a RouterSettings, routing: &'a RoutingParams, class: ErrorClass) -> &'a [Fallback] {
    let (own, configured) = match class {
        ErrorClass::ContextWindow => {
            (&routing.context_window_fallbacks, settings.context_window_fallbacks.as_slice())
        }
        ErrorClass::ContentPolicy => {
            (&routing.content_policy_fallbacks, settings.content_policy_fallbacks.as_slice())
        }
        _ => (&None, [].as_slice()),
    };
    match own {
        Some(own) => own,
        None if !configured.is_empty() => configured,
        None => routing.fallbacks.as_ref().unwrap_or(&settings.fallbacks),
    }
}

/// The fallbacks of a group: under one of its names, else under one with or without a provider, else
/// under `*`, also of a wildcard `*`. Of several lists for a group LiteLLM takes the first, and of
/// several for `*` the last.
fn find<'a>(list: &'a [Fallback], failed: &FailedGroup<'_>) -> Option<&'a [Target]> {
    let groups = failed.groups.iter().map(|group| &**group);
    let names: Vec<&str> = [failed.requested, failed.target].into_iter().chain(groups).collect();
    let is_star = |fallback: &&Fallback| *fallback.group == *"*";
    let first = |is_of: &dyn Fn(&str, &str) -> bool| {
        let of = |name: &&str| list.iter().find(|own| !is_star(own) && is_of(&own.group, name));
        names.iter().find_map(of)
    };
    let found = first(&|own, name| own == name)
        .or_else(|| first(&are_related))
        .or_else(|| list.iter().rev().find(is_star))?;
    Some(&found.targets)
}

/// The client's JSON body, of so many bytes, with the parameters of a fallback, without its model;
/// `None` if there are none, or if the body is not JSON.
pub fn merged(body: &Payload<'_>, length: usize, target: &Target) -> Option<Vec<u8>> {
    let Payload::Json(SentMembers { body: object, .. }) = body else { return None };
    if target.overrides.is_empty() {
        return None;
    }
    let is_changed = |key: &str| target.overrides.iter().any(|member| member.key == key);
    let mut out = ObjectText::with_capacity(length.saturating_add(256));
    for member in object.members().iter().filter(|member| !is_changed(&member.key)) {
        out.member(member.written, member.value);
    }
    for member in &target.overrides {
        out.member(&quoted(&member.key), &member.json);
    }
    Some(out.finish().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json::Object;
    use crate::request::routing_params::AllowedParams;

    /// Fallbacks as the configuration writes them, in JSON.
    fn lists(fallbacks: &str, context_window: &str, content_policy: &str) -> RoutingParams {
        let members = [
            ("fallbacks", fallbacks),
            ("context_window_fallbacks", context_window),
            ("content_policy_fallbacks", content_policy),
        ];
        RoutingParams::read(members.into_iter(), &[], AllowedParams::default(), false, 0).unwrap()
    }

    fn settings(lists: &RoutingParams) -> RouterSettings {
        let file = "model_list: [{model_name: g, litellm_params: {model: openai/m, api_key: k}}]";
        let mut settings = llm_balancer_config::read("config.yaml", file, &|_| None).config.unwrap().router;
        let list = |list: &Option<Vec<Fallback>>| list.clone().unwrap_or_default();
        settings.fallbacks = list(&lists.fallbacks);
        settings.context_window_fallbacks = list(&lists.context_window_fallbacks);
        settings.content_policy_fallbacks = list(&lists.content_policy_fallbacks);
        settings
    }

    fn with(fallbacks: &str) -> RouterSettings {
        settings(&lists(fallbacks, "null", "null"))
    }

    fn failed<'a>(requested: &'a str, target: &'a str) -> FailedGroup<'a> {
        FailedGroup { requested, target, label: None, groups: Vec::new() }
    }

    /// Every place that a request for `first` sees where all of them fail.
    fn visited(
        settings: &RouterSettings,
        routing: &RoutingParams,
        first: &str,
        class: ErrorClass,
    ) -> Vec<String> {
        let (mut chain, mut seen, mut name) = (FallbackChain::default(), Vec::new(), first.to_owned());
        while let Some(target) = chain.next(settings, routing, &failed(&name, &name), class) {
            name = target.model.to_string();
            seen.push(name.clone());
            assert_eq!(usize::try_from(chain.depth()), Ok(seen.len()));
        }
        seen
    }

    fn all_fail(fallbacks: &str, first: &str) -> Vec<String> {
        visited(&with(fallbacks), &RoutingParams::default(), first, ErrorClass::Server)
    }

    #[test]
    fn targets_are_tried_in_their_order() {
        assert_eq!(all_fail(r#"[{"g": ["a", "b"]}]"#, "g"), ["a", "b"]);
        assert_eq!(all_fail(r#"[{"g": ["a", "b"]}]"#, "h"), [""; 0]);
    }

    #[test]
    fn a_targets_own_fallbacks_go_before_the_rest_of_the_list() {
        let list = r#"[{"g": ["a", "b"]}, {"a": ["c", "d"]}, {"c": ["e"]}]"#;
        assert_eq!(all_fail(list, "g"), ["a", "c", "e", "d", "b"]);
    }

    #[test]
    fn no_group_is_tried_twice() {
        assert_eq!(all_fail(r#"[{"g": ["a", "g", "a"]}, {"a": ["g", "b"]}, {"b": ["a"]}]"#, "g"), ["a", "b"]);
        let alias = failed("alias", "g");
        let next = FallbackChain::default().next(
            &with(r#"[{"*": ["g", "alias", "a"]}]"#),
            &RoutingParams::default(),
            &alias,
            ErrorClass::Server,
        );
        assert_eq!(&*next.unwrap().model, "a");
    }

    #[test]
    fn the_same_group_may_serve_a_changed_request_once() {
        assert_eq!(all_fail(r#"[{"g": [{"model": "g", "max_tokens": 5}, "a"]}]"#, "g"), ["g", "a"]);
    }

    #[test]
    fn lists_are_followed_as_deep_as_max_fallbacks_says() {
        let mut settings = with(r#"[{"g": ["a", "z"]}, {"a": ["b"]}, {"b": ["c"]}]"#);
        for (max, expected) in
            [(0, &[][..]), (1, &["a", "z"]), (2, &["a", "b", "z"]), (3, &["a", "b", "c", "z"])]
        {
            settings.max_fallbacks = max;
            assert_eq!(
                visited(&settings, &RoutingParams::default(), "g", ErrorClass::Server),
                expected,
                "{max}"
            );
        }
    }

    #[test]
    fn a_group_is_found_by_its_name_then_without_its_provider_then_by_the_star() {
        let list = r#"[{"*": ["x"]}, {"gpt-4": ["bare"]}, {"openai/gpt-4": ["full"]}, {"openai/o1": ["o"]}, {"*": ["star"]}]"#;
        for (group, target) in [
            ("gpt-4", "bare"),
            ("openai/gpt-4", "full"),
            ("azure/gpt-4", "bare"),
            ("o1", "o"),
            ("azure/o1", "star"),
            ("team/gpt-4", "star"),
        ] {
            assert_eq!(all_fail(list, group)[0], target, "{group}");
        }
    }

    #[test]
    fn the_name_that_was_asked_for_goes_before_what_it_stands_for() {
        let list = lists(r#"[{"g": ["of the group"]}, {"alias": ["of the alias"]}]"#, "null", "null");
        for (asked, target) in [("alias", "of the alias"), ("other", "of the group")] {
            let names = failed(asked, "g");
            let next = FallbackChain::default().next(
                &settings(&list),
                &RoutingParams::default(),
                &names,
                ErrorClass::Server,
            );
            assert_eq!(&*next.unwrap().model, target);
        }
    }

    #[test]
    fn a_list_for_the_kind_of_failure_is_the_only_one_that_is_consulted() {
        let regular = r#"[{"g": ["regular"]}, {"h": ["regular"]}]"#;
        let configured = settings(&lists(regular, r#"[{"g": ["long"]}]"#, r#"[{"g": ["lax"]}]"#));
        let none = RoutingParams::default();
        for (group, class, expected) in [
            ("g", ErrorClass::Server, &["regular"][..]),
            ("g", ErrorClass::ContextWindow, &["long"]),
            ("g", ErrorClass::ContentPolicy, &["lax"]),
            ("h", ErrorClass::ContextWindow, &[]),
            ("h", ErrorClass::ContentPolicy, &[]),
        ] {
            assert_eq!(visited(&configured, &none, group, class), expected, "{group} {class:?}");
        }
        assert_eq!(visited(&with(regular), &none, "h", ErrorClass::ContextWindow), ["regular"]);
    }

    #[test]
    fn a_requests_list_takes_the_place_of_the_configurations_of_its_kind() {
        let configured = settings(&lists(r#"[{"g": ["a"]}]"#, r#"[{"g": ["long"]}]"#, "null"));
        let own = lists(r#"["b", "c"]"#, "null", "null");
        assert_eq!(visited(&configured, &own, "g", ErrorClass::Server), ["b", "c"]);
        assert_eq!(visited(&configured, &own, "g", ErrorClass::ContextWindow), ["long"]);
        let own = lists("[]", r#"["d"]"#, "null");
        assert_eq!(visited(&configured, &own, "g", ErrorClass::Server), [""; 0]);
        assert_eq!(visited(&configured, &own, "g", ErrorClass::ContextWindow), ["d"]);
    }

    #[test]
    fn a_request_can_do_without_fallbacks() {
        let routing = RoutingParams { disable_fallbacks: true, ..lists(r#"["b"]"#, "null", "null") };
        assert_eq!(visited(&with(r#"[{"g": ["a"]}]"#), &routing, "g", ErrorClass::Server), [""; 0]);
    }

    #[test]
    fn a_targets_members_replace_every_one_of_that_name() {
        let routing =
            lists(r#"[{"model": "a", "temperature": 0, "stop": ["x"], "a\"b": 1}, "b"]"#, "null", "null");
        let targets = &routing.fallbacks.unwrap()[0].targets;
        let body = br#"{"model":"g","temp\u0065rature":1,"messages":[ {} ],"temperature":2}"#;
        let merged_to = |place: usize, body: &[u8]| {
            let object = Payload::Json(SentMembers::of(Object::parse(body).unwrap()));
            merged(&object, 0, &targets[place]).map(|body| String::from_utf8(body).unwrap())
        };
        let expected = r#"{"model":"g","messages":[ {} ],"temperature":0,"stop":["x"],"a\"b":1}"#;
        assert_eq!(merged_to(0, body).as_deref(), Some(expected));
        assert_eq!(merged_to(0, b"{}").as_deref(), Some(r#"{"temperature":0,"stop":["x"],"a\"b":1}"#));
        let written = br#"{"mod\u0065l":"g","\ud800":1}"#;
        let expected = r#"{"mod\u0065l":"g","\ud800":1,"temperature":0,"stop":["x"],"a\"b":1}"#;
        assert_eq!(merged_to(0, written).as_deref(), Some(expected), "names are as they were written");
        assert_eq!(merged_to(1, body), None);
    }
}
