//! The routes that list the configuration: models, model info, group info (BEHAVIOUR 9.2).
//!
//! LiteLLM fills most of these keys from its table of prices and abilities. Here they are null or
//! absent, unless `model_info` sets them.

use std::collections::HashSet;
use std::fmt::Write as _;

use llm_balancer_config::{Config, Deployment, Member, Wire};

use crate::http::json::quoted;
use crate::http::route::query_value;
use crate::models::model_page::page;
use crate::models::pool::is_member;
use crate::request::refusal::Refusal;

/// LiteLLM's constant, the time of OpenAI's first models.
const CREATED: u32 = 1_677_610_602;
/// The same time as a date.
const CREATED_AT: &str = "2023-02-28T18:56:42Z";

/// The parameters of chat completions, which LiteLLM lists for a model that it does not know.
const OPENAI_PARAMS: &str = concat!(
    r#"["frequency_penalty","logit_bias","logprobs","top_logprobs","max_tokens","max_completion_tokens","#,
    r#""modalities","prediction","n","presence_penalty","seed","stop","stream","stream_options","temperature","#,
    r#""top_p","tools","tool_choice","function_call","functions","max_retries","extra_headers","#,
    r#""parallel_tool_calls","audio","web_search_options","service_tier","safety_identifier","#,
    r#""prompt_cache_key","prompt_cache_retention","store","response_format","reasoning_effort"]"#
);

/// A name that clients may use, and the deployments behind it.
pub(super) struct Listed<'c> {
    pub(super) name: &'c str,
    deployments: Vec<&'c Deployment>,
}

/// Visible aliases of groups, then routing groups, then groups, in file order, each name once. An
/// alias of another alias, of itself or of nothing is left out, and so is a routing group without
/// members: requests for them fail.
fn listed(config: &Config) -> Vec<Listed<'_>> {
    let mut seen = HashSet::new();
    let aliases = config.aliases.iter().filter(|alias| !alias.hidden);
    let aliases = aliases.map(|alias| (&*alias.name, &*alias.target));
    let groups = config.deployments.iter().map(|deployment| (&*deployment.group, &*deployment.group));
    let mut by_group: std::collections::HashMap<&str, Vec<&Deployment>> = Default::default();
    for deployment in &config.deployments {
        by_group.entry(&deployment.group).or_default().push(deployment);
    }
    let routing_groups = &config.router.routing_groups;
    for group in routing_groups {
        let members: Vec<_> = config.deployments.iter().filter(|one| is_member(group, one)).collect();
        if !members.is_empty() {
            // A model group goes before a routing group of the same name.
            by_group.entry(&group.name).or_insert(members);
        }
    }
    let routing_groups = routing_groups.iter().map(|group| (&*group.name, &*group.name));
    aliases
        .chain(routing_groups)
        .chain(groups)
        .filter(|(name, _)| seen.insert(*name))
        .filter_map(|(name, group)| Some(Listed { name, deployments: by_group.get(group)?.clone() }))
        .collect()
}

/// `GET /v1/models`, for a client of this API. A pattern is no model that can be requested, so as in
/// LiteLLM it is listed for `return_wildcard_routes=true` alone.
///
/// # Errors
/// A [`Refusal`] if a client of Anthropic's API requests a page that does not exist.
pub fn models(config: &Config, query: &str, client: Wire) -> Result<String, Refusal> {
    let all = query_value(query, "return_wildcard_routes").is_some_and(|value| value == "true");
    let mut listed = listed(config);
    listed.retain(|listed| all || !listed.name.contains('*'));
    // As in LiteLLM, the parameter of Codex goes before the header of Anthropic's clients.
    let is_codex = query_value(query, "client_version").is_some();
    if client == Wire::Anthropic && !is_codex {
        let (page, has_more) = page(&listed, query)?;
        let id = |listed: Option<&Listed<'_>>| listed.map_or("null".to_owned(), |listed| quoted(listed.name));
        return Ok(format!(
            r#"{{"data":[{}],"has_more":{has_more},"first_id":{},"last_id":{}}}"#,
            entries(page, client),
            id(page.first()),
            id(page.last())
        ));
    }
    // Codex requires a list of its own form, whose entries have its instructions for a model. Where it
    // is empty, Codex up to 0.155 keeps the models that it knows.
    let of_codex = if is_codex { r#","models":[]"# } else { "" };
    Ok(format!(r#"{{"data":[{}],"object":"list"{of_codex}}}"#, entries(&listed, Wire::OpenAi)))
}

fn entries(listed: &[Listed<'_>], client: Wire) -> String {
    listed.iter().map(|listed| model_entry(listed, client)).collect::<Vec<_>>().join(",")
}

/// `GET /v1/models/{id}`, for any name of these deployments: also for hidden aliases and names that
/// a wildcard matches, which are served but not listed.
pub fn model(config: &Config, id: &str, members: &[usize], client: Wire) -> String {
    let deployments = members.iter().filter_map(|index| config.deployments.get(*index)).collect();
    model_entry(&Listed { name: id, deployments }, client)
}

fn model_entry(listed: &Listed<'_>, client: Wire) -> String {
    let id = quoted(listed.name);
    let known = |key: &str| listed.deployments.iter().find_map(|deployment| info(deployment, key));
    if client == Wire::Anthropic {
        let name = known("display_name").filter(|name| name.starts_with('"')).unwrap_or(&id);
        let limit = |key: &str| known(key).unwrap_or("null");
        return format!(
            r#"{{"type":"model","id":{id},"display_name":{name},"created_at":"{CREATED_AT}","lifecycle":"active","max_input_tokens":{},"max_tokens":{}}}"#,
            limit("max_input_tokens"),
            limit("max_output_tokens")
        );
    }
    let mut entry = format!(r#"{{"id":{id},"object":"model","created":{CREATED},"owned_by":"openai""#);
    for key in ["mode", "max_input_tokens", "max_output_tokens"] {
        if let Some(value) = known(key) {
            put(&mut entry, key, value);
        }
    }
    entry.push('}');
    entry
}

/// `GET /v1/model/info`: every deployment under its group's name, then again under each visible
/// alias; or the one deployment with this id.
pub fn model_info(config: &Config, id: Option<&str>) -> String {
    let own = config.deployments.iter().map(|deployment| (&*deployment.group, deployment));
    let aliased = config.aliases.iter().filter(|alias| !alias.hidden).flat_map(|alias| {
        let of_target = |deployment: &&Deployment| deployment.group == alias.target;
        config.deployments.iter().filter(of_target).map(|deployment| (&*alias.name, deployment))
    });
    // With an id, the deployment is listed once, under its own group.
    let rows: Vec<String> = match id {
        Some(id) => own.filter(|(_, deployment)| id == &*deployment.id).map(info_row).collect(),
        None => own.chain(aliased).map(info_row).collect(),
    };
    format!(r#"{{"data":[{}]}}"#, rows.join(","))
}

fn info_row((name, deployment): (&str, &Deployment)) -> String {
    let mut row = format!(r#"{{"model_name":{},"litellm_params":{{"#, quoted(name));
    for Member { key, json } in deployment.public_params.iter().filter(|member| member.key != "model") {
        put(&mut row, key, json);
    }
    for flag in [
        "allow_client_keepalive_override",
        "use_in_pass_through",
        "use_litellm_proxy",
        "use_xai_oauth",
        "merge_reasoning_content_in_choices",
    ] {
        put(&mut row, flag, "false");
    }
    put(&mut row, "model", &quoted(&deployment.litellm_model));
    row.push_str(r#"},"model_info":{"#);
    put(&mut row, "id", &quoted(&deployment.id));
    put(&mut row, "db_model", "false");
    put(&mut row, "key", &quoted(&deployment.litellm_model));
    for Member { key, json } in &deployment.info {
        put(&mut row, key, json);
    }
    for key in [
        "max_tokens", "max_input_tokens", "max_output_tokens", "input_cost_per_token",
        "output_cost_per_token", "mode", "tpm", "rpm",
    ] {
        if info(deployment, key).is_none() {
            put(&mut row, key, "null");
        }
    }
    put(&mut row, "litellm_provider", &quoted(&deployment.provider));
    put(&mut row, "supported_openai_params", OPENAI_PARAMS);
    row.push_str("}}");
    row
}

/// `GET /v1/model_group/info`: the abilities and limits of a group's deployments together.
pub fn model_group_info(config: &Config, query: &str) -> String {
    let wanted = query_value(query, "model_group");
    let is_wanted = |listed: &&Listed<'_>| wanted.as_deref().is_none_or(|name| name == listed.name);
    let rows: Vec<String> = listed(config).iter().filter(is_wanted).map(group_row).collect();
    format!(r#"{{"data":[{}]}}"#, rows.join(","))
}

fn group_row(listed: &Listed<'_>) -> String {
    let all = &listed.deployments;
    let mut providers: Vec<&str> = Vec::new();
    for deployment in all {
        if !providers.contains(&deployment.provider.as_str()) {
            providers.push(&deployment.provider);
        }
    }
    let providers: Vec<String> = providers.into_iter().map(quoted).collect();
    let first = |key: &str| all.iter().find_map(|deployment| info(deployment, key)).unwrap_or("null");
    let mut row = format!(r#"{{"model_group":{},"providers":[{}]"#, quoted(listed.name), providers.join(","));
    for key in [
        "max_input_tokens", "max_output_tokens", "input_cost_per_token", "output_cost_per_token",
        "input_cost_per_pixel", "mode",
    ] {
        put(&mut row, key, first(key));
    }
    put(&mut row, "tpm", &sum(all, |deployment| deployment.tpm));
    put(&mut row, "rpm", &sum(all, |deployment| deployment.rpm));
    put(&mut row, "itpm", "null");
    put(&mut row, "otpm", "null");
    for key in [
        "supports_parallel_function_calling",
        "supports_vision",
        "supports_web_search",
        "supports_url_context",
        "supports_reasoning",
        "supports_function_calling",
        "supports_fast_mode",
    ] {
        let any = all.iter().any(|deployment| info(deployment, key) == Some("true"));
        put(&mut row, key, if any { "true" } else { "false" });
    }
    put(&mut row, "supported_reasoning_efforts", "null");
    put(&mut row, "supported_openai_params", OPENAI_PARAMS);
    for key in ["configurable_clientside_auth_params", "description", "supported_endpoints"] {
        put(&mut row, key, first(key));
    }
    put(&mut row, "supports_background_chat", "false");
    put(&mut row, "is_public_model_group", "false");
    for key in
        ["health_status", "health_response_time", "health_checked_at", "custom_tags", "custom_metadata"]
    {
        put(&mut row, key, "null");
    }
    row.push('}');
    row
}

/// The sum over the deployments that have a value; null if none has one.
fn sum(deployments: &[&Deployment], limit: impl Fn(&Deployment) -> Option<u64>) -> String {
    let limits: Vec<u64> = deployments.iter().filter_map(|deployment| limit(deployment)).collect();
    if limits.is_empty() {
        "null".to_owned()
    } else {
        limits.into_iter().fold(0, u64::saturating_add).to_string()
    }
}

fn info<'d>(deployment: &'d Deployment, key: &str) -> Option<&'d str> {
    deployment.info.iter().find(|member| member.key == key).map(|member| member.json.as_str())
}

/// Adds a member to an unfinished JSON object.
fn put(object: &mut String, key: &str, json: &str) {
    let comma = if object.ends_with('{') { "" } else { "," };
    // Writing into a string cannot fail.
    let _ = write!(object, "{comma}{}:{json}", quoted(key));
}
