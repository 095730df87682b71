//! A file read from its text to a configuration.

use crate::config::Config;
use crate::deployments::deployment::FileDefaults;
use crate::deployments::model_list;
use crate::deployments::params;
use crate::diagnostics::accept::Accepted;
use crate::diagnostics::finding::Finding;
use crate::diagnostics::report::{Path, Report};
use crate::keys::callbacks;
use crate::keys::ignored_variables;
use crate::keys::support::{self, Table};
use crate::keys::tables::{
    GENERAL_SETTINGS, LITELLM_SETTINGS, LLM_BALANCER, ROUTER_SETTINGS, TOP, is_request_parameter,
};
use crate::providers::proxies;
use crate::providers::tls;
use crate::redis::sections;
use crate::references::check;
use crate::references::known_names::KnownNames;
use crate::references::skipped;
use crate::settings::router;
use crate::settings::server::{self, LlmBalancerSettings};
use crate::values::credentials;
use crate::values::environment::{Environment, Lookup};
use crate::values::reader::{Reader, Section};
use crate::values::settings::Settings;
use crate::yaml::parse;
use crate::yaml::tree::{self, Entry, Node, Value};

/// What came of reading a file.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `None` exactly if a finding refuses the file.
    pub config: Option<Config>,
    /// Everything worth telling the operator, by line.
    pub findings: Vec<Finding>,
    /// Variables that say what the file leaves open, as LiteLLM looks them up by itself: those that are set, sorted.
    pub variables: Vec<String>,
}

/// Reads a file without looking at others: `include:` is for [`load`](crate::load).
pub fn read(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Reading {
    let mut report = Report::new(vec![file.to_owned()]);
    match parse::parse(0, text, &mut report) {
        Some(document) => read_tree(&document, report, env),
        None => Reading { config: None, findings: report.into_findings(), variables: Vec::new() },
    }
}

/// Reads a document that may come from several files.
pub fn read_tree(document: &Node, report: Report, env: Lookup<'_>) -> Reading {
    let mut reader = Reader { report, env: Environment::new(env, environment_section(document)) };
    let config = read_document(&mut reader, document);
    reader.report.check_accepted();
    let sound = reader.report.refusals() == 0;
    let findings = reader.report.into_findings();
    let variables = reader.env.implicit();
    let config =
        config.filter(|_| sound).map(|config| Config { env_names: reader.env.into_names(), ..config });
    Reading { config, findings, variables }
}

fn environment_section(document: &Node) -> &[Entry] {
    let entries = document.entries().unwrap_or_default();
    tree::find(entries, "environment_variables").and_then(|entry| entry.node.entries()).unwrap_or_default()
}

fn read_document(reader: &mut Reader<'_>, document: &Node) -> Option<Config> {
    let Some(entries) = document.entries() else {
        let path = Path::top("document");
        let message = match document.value {
            Value::Null => "is empty".to_owned(),
            _ => format!("is {}, not a map with model_list in it", document.kind()),
        };
        reader.report.refuse(document.place, &path, &message, "begin with model_list:");
        return None;
    };
    let document = Section { entries, path: Path::DOCUMENT, place: document.place };
    let own = reader.section(&document, "llm_balancer");
    let accepted = Accepted::read(reader, own.as_ref());
    reader.report.accept(accepted);
    support::check_keys(reader, &document, &TOP);
    if let Some(entry) = document.find("include") {
        let advice = "give the merged file that `llm-balancer render` writes";
        reader.report.refuse(
            entry.place,
            &document.path.key("include"),
            "names files that cannot be read from here",
            advice,
        );
    }
    let settings = Settings {
        router: judged(reader, &document, "router_settings", &ROUTER_SETTINGS),
        litellm: judged(reader, &document, "litellm_settings", &LITELLM_SETTINGS),
        general: judged(reader, &document, "general_settings", &GENERAL_SETTINGS),
    };
    misplaced(reader, &settings);
    check_environment(reader, &document);
    if let Some(own) = &own {
        support::check_keys(reader, own, &LLM_BALANCER);
    }
    let own = server::llm_balancer_settings(reader, own.as_ref());
    let file = file_defaults(reader, &document, &settings, &own);
    let list = model_list::read(reader, &document, &file);
    let aliases = check::aliases(reader, &settings);
    let router = router::read(reader, &settings, own.soft_limits);
    let server = server::read(reader, &document, &settings, &own);
    let mut names = KnownNames::new(&list, &aliases, &router.routing_groups);
    check::check(reader, &settings, &mut names);
    let skipped = names.into_skipped();
    let refusals = reader.report.refusals();
    let redis = sections::read(reader, &settings, own.redis_namespace);
    // One that cannot be used was asked for all the same.
    let asks_for_redis = redis.is_some() || reader.report.refusals() > refusals;
    ignored_variables::check(reader, document.place, &list.deployments, asks_for_redis);
    let ca_bundle = tls::bundle(reader);
    let proxies = proxies::read(reader, settings.litellm.as_ref(), document.place, &list.deployments);
    let (deployments, env_names) = (list.deployments, Vec::new());
    let config =
        Config { deployments, aliases, router, server, redis, skipped, proxies, ca_bundle, env_names };
    Some(skipped::without(config))
}

fn judged<'s>(
    reader: &mut Reader<'_>,
    document: &'s Section<'s>,
    key: &'s str,
    table: &Table,
) -> Option<Section<'s>> {
    let section = reader.section(document, key)?;
    support::check_keys(reader, &section, table);
    Some(section)
}

/// What stands in the wrong section, or runs Python.
fn misplaced(reader: &mut Reader<'_>, settings: &Settings<'_>) {
    if let Some(litellm) = &settings.litellm {
        callbacks::check(reader, litellm);
        if let Some(entry) = litellm.find("ssl_certificate") {
            let path = litellm.path.key("ssl_certificate");
            let advice = "put a proxy that holds the certificate in between";
            reader.report.refuse_feature(entry.place, &path, "client certificates are not served", advice);
        }
    }
    if let Some(router) = &settings.router {
        callbacks::check_pre_call(reader, router);
    }
}

/// Credentials that `environment_variables:` sets stand in the file like all others.
fn check_environment(reader: &mut Reader<'_>, document: &Section<'_>) {
    let Some(section) = reader.section(document, "environment_variables") else { return };
    for entry in section.entries {
        let literal = matches!(&entry.node.value, Value::Text(text) if credentials::is_literal(text));
        if literal && credentials::is_secret_name(&entry.key) {
            let advice = "set the variable outside the file";
            reader.report.warn(
                entry.place,
                &section.path.key(&entry.key),
                "is a credential in the file itself",
                advice,
            );
        }
    }
}

fn file_defaults(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    settings: &Settings<'_>,
    own: &LlmBalancerSettings,
) -> FileDefaults {
    let mut file = FileDefaults {
        tls: tls::of_file(reader, settings.litellm.as_ref(), document.place),
        skip_unsupported: own.skip_unsupported,
        environment: reader.env.first_of(&["LITELLM_ENVIRONMENT"]),
        defaults: Vec::new(),
        timeout: None,
        stream_timeout: None,
    };
    let Some(router) = &settings.router else { return file };
    let Some(section) = reader.section(router, "default_litellm_params") else { return file };
    file.timeout = reader.seconds(&section, "timeout");
    file.stream_timeout = reader.seconds(&section, "stream_timeout");
    for entry in section.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        let path = section.path.key(&entry.key);
        if is_request_parameter(&entry.key) {
            let value = reader.json_value(&entry.node, &path);
            file.defaults.extend(value.map(|value| params::member(&entry.key, &value)));
        } else if !matches!(entry.key.as_str(), "timeout" | "stream_timeout") {
            let advice = "set it in each litellm_params";
            reader.report.warn(entry.place, &path, "has no effect as a default of all deployments", advice);
        }
    }
    file
}
