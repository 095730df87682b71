//! A form rewritten for a deployment. Fields keep the client's order, and are compared without
//! regard to case, as some readers do.

use std::borrow::Cow;

use llm_balancer_config::{Deployment, Member};

use super::is_about_streams;
use crate::http::json;
use crate::http::multipart::{Form, parameter};
use crate::http::rewritten_body::RewrittenBody;
use crate::http::route::ModelRoute;
use crate::request::reserved_params::is_reserved;

/// The most items of a list that a deployment adds to a form.
const MAX_ITEMS: usize = 100;

/// The form with the model, the deployment's parameters and no others of the router's.
pub(super) fn rewritten(
    form: &Form<'_>,
    streams: bool,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
) -> RewrittenBody {
    let is_extra = |name: &str| deployment.extra_body.iter().any(|member| same(name, &member.key));
    let fits = |member: &&Member| streams || !is_about_streams(&member.key);
    let is_open = |member: &&Member| !form.sets(parameter(&member.key)) && !is_extra(&member.key);
    let defaults = deployment.defaults.iter().filter(is_open);
    let mut added = Vec::new();
    if !is_extra("model") {
        added.push((Cow::Borrowed("model"), Cow::Borrowed(model)));
    }
    added.extend(defaults.chain(&deployment.extra_body).filter(fits).flat_map(form_fields));
    let added: Vec<(&str, &str)> = added.iter().map(|(name, value)| (&**name, &**value)).collect();
    let keep = |name: &str| {
        !same(name, "model")
            && !is_extra(name)
            && !is_reserved(&name.to_ascii_lowercase(), route)
            && !deployment.drop_params.iter().any(|dropped| same(name, dropped))
    };
    form.rewritten(keep, &added)
}

fn same(name: &str, other: &str) -> bool {
    parameter(name).eq_ignore_ascii_case(parameter(other))
}

/// A parameter as fields of a form, which have no types: a string without its quotes, a list as
/// OpenAI's clients write it.
fn form_fields(member: &Member) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    match json::list(&member.json, MAX_ITEMS) {
        Some(items) => items
            .into_iter()
            .map(|item| (format!("{}[]", member.key).into(), json::string_or_raw(item)))
            .collect(),
        None => vec![(Cow::Borrowed(&*member.key), json::string_or_raw(&member.json))],
    }
}
