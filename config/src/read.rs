//! Reads a configuration from the text of a file.

use std::io;

use crate::config::{Config, Member};
use crate::deployments::{FileDefaults, StoredCredentials, read_model_list, warn_of_claude_without_messages};
use crate::diagnostics::{ADVISES, Accepted, Finding, Path, Place, Report};
use crate::keys::tables::{
    GENERAL_SETTINGS, LITELLM_SETTINGS, LLM_BALANCER, ROUTER_SETTINGS, TOP, is_request_parameter,
};
use crate::keys::{Table, check_callbacks, check_keys, warn_of_ignored_variables};
use crate::providers::{ca_bundle, read_proxies, tls_of_file};
use crate::redis;
use crate::references::{KnownNames, check_references, remove_skipped};
use crate::settings::{
    LlmBalancerSettings, read_affinity, read_aliases, read_llm_balancer, read_router, read_server,
};
use crate::values::{Environment, Lookup, Reader, Section, Settings, is_literal, is_secret_name};
use crate::yaml::{self, Entry, Node, Value};

/// The result of reading a file.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `None` exactly if a finding is an error.
    pub config: Option<Config>,
    /// All findings, by line.
    pub findings: Vec<Finding>,
    /// Variables that LiteLLM looks up by itself and that are used, sorted.
    pub variables: Vec<String>,
    /// Variables that the file or LiteLLM refers to and that are not set, or cannot be used as a
    /// credential, sorted.
    pub unusable_variables: Vec<String>,
}

impl Reading {
    fn failed(report: Report) -> Self {
        let (variables, unusable_variables) = (Vec::new(), Vec::new());
        Self { config: None, findings: report.into_findings(), variables, unusable_variables }
    }
}

/// A file, read together with the files that it includes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its findings name the file and the line of each.
    pub reading: Reading,
    /// The text of the file; if it includes others, one document with the same configuration.
    pub text: String,
    /// The same after parsing, without lines, for [`read_bytes`]; empty if the file could not be
    /// parsed. Variables are not replaced in it.
    pub parsed: Vec<u8>,
}

/// [`Loaded::parsed`] as a document in JSON, which every build of the filter reads; empty where
/// nothing is parsed.
pub fn json_document(parsed: &[u8]) -> String {
    let tree = yaml::decode(parsed).and_then(Result::ok);
    tree.as_ref().and_then(Node::entries).map(yaml::json_document).unwrap_or_default()
}

/// Reads a file that includes no others. For `include:`, see [`load`].
pub fn read(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Reading {
    let mut report = Report::new(file);
    match yaml::parse(0, text, &mut report) {
        Some(document) => read_tree(&document, report, env),
        None => Reading::failed(report),
    }
}

/// Reads what [`load`] has parsed, or the text of a file: in YAML; in JSON if this crate is compiled
/// without YAML.
pub fn read_bytes(file: &str, bytes: &[u8], env: &dyn Fn(&str) -> Option<String>) -> Reading {
    let mut report = Report::new(file);
    let tree = match yaml::decode(bytes) {
        None if cfg!(feature = "yaml") => return read(file, &String::from_utf8_lossy(bytes), env),
        None => yaml::parse_json(bytes).map_err(|error| format!("not JSON: {error}")),
        Some(tree) => tree.map_err(str::to_owned),
    };
    match tree {
        Ok(tree) => read_tree(&tree, report, env),
        Err(reason) => {
            let advice = "use the filter and the program of one release";
            report.error(Place::FIRST_LINE, &Path::top("document"), &reason, advice);
            Reading::failed(report)
        }
    }
}

/// Reads a file and the files that it includes, each relative to the one that includes it.
pub fn load(
    file: &str,
    read_file: &dyn Fn(&str) -> io::Result<String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut report = Report::new(file);
    let text = match read_file(file) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read the file: {error}");
            report.error(Place::FIRST_LINE, &Path::top("document"), &message, "");
            return Loaded { reading: Reading::failed(report), text: String::new(), parsed: Vec::new() };
        }
    };
    let Some(document) = yaml::parse(0, &text, &mut report) else {
        return Loaded { reading: Reading::failed(report), text, parsed: Vec::new() };
    };
    let has_includes = document.entries().is_some_and(|entries| yaml::find(entries, "include").is_some());
    let (document, text) = if has_includes {
        let document = yaml::with_includes(document, &mut report, read_file);
        let text = yaml::document(document.entries().unwrap_or_default());
        (document, text)
    } else {
        (document, text)
    };
    let parsed = yaml::encode(&document);
    Loaded { reading: read_tree(&document, report, env), text, parsed }
}

fn read_tree(document: &Node, report: Report, env: Lookup<'_>) -> Reading {
    let mut reader = Reader { report, env: Environment::new(env, environment_section(document)) };
    let config = read_document(&mut reader, document);
    warn_of_overridden_variables(&mut reader, document);
    reader.report.check_accepted();
    let has_errors = reader.report.errors() > 0;
    let findings = reader.report.into_findings();
    let (variables, unusable_variables) = (reader.env.implicit(), reader.env.unusable());
    let config =
        config.filter(|_| !has_errors).map(|config| Config { env_names: reader.env.into_names(), ..config });
    Reading { config, findings, variables, unusable_variables }
}

fn environment_section(document: &Node) -> &[Entry] {
    let entries = document.entries().unwrap_or_default();
    yaml::find(entries, "environment_variables").and_then(|entry| entry.node.entries()).unwrap_or_default()
}

fn read_document(reader: &mut Reader<'_>, document: &Node) -> Option<Config> {
    let Some(entries) = document.entries() else {
        let found = if document.value == Value::Null { "an empty file" } else { document.kind() };
        let message = format!("expected a map with model_list, found {found}");
        reader.report.error(document.place, &Path::top("document"), &message, "begin with model_list:");
        return None;
    };
    let document = Section { entries, path: Path::DOCUMENT, place: document.place };
    if report_wrapping(reader, &document) {
        return None;
    }
    let llm_balancer = reader.section(&document, "llm_balancer");
    // First of all, because it turns later errors into warnings.
    read_accepted(reader, llm_balancer.as_ref());
    check_keys(reader, &document, &TOP);
    if let Some(entry) = document.find("include") {
        let advice = "use the merged file that `llm-balancer render` writes";
        reader.report.error(
            entry.place,
            &document.path.key("include"),
            "cannot read other files here",
            advice,
        );
    }
    let settings = settings_sections(reader, &document);
    warn_of_literal_credentials(reader, &document);
    if let Some(section) = &llm_balancer {
        check_keys(reader, section, &LLM_BALANCER);
    }
    let own = read_llm_balancer(reader, llm_balancer.as_ref());
    let defaults = file_defaults(reader, &document, &settings, &own);
    let mut list = read_model_list(reader, &document, &defaults);
    read_affinity(reader, settings.router.as_ref()).apply(&mut list.deployments);
    let aliases = read_aliases(reader, &settings);
    let router = read_router(reader, &settings, own.soft_limits);
    warn_of_claude_without_messages(reader, &document, &list.deployments, &router.fallbacks);
    let server = read_server(reader, &document, &settings, &own);
    let mut names = KnownNames::new(&list, &aliases, &router.routing_groups);
    check_references(reader, &settings, &mut names);
    let skipped = names.into_skipped();
    let errors_before = reader.report.errors();
    let redis = redis::read(reader, &settings, own.redis_namespace);
    // A Redis with an error is configured too.
    let has_redis = redis.is_some() || reader.report.errors() > errors_before;
    warn_of_ignored_variables(reader, document.place, &list.deployments, has_redis);
    let ca_bundle = ca_bundle(reader);
    let proxies = read_proxies(reader, settings.litellm.as_ref(), document.place, &list.deployments);
    let (deployments, env_names) = (list.deployments, Vec::new());
    let skipped_deployments = list.skipped_count;
    let mut config = Config {
        deployments,
        aliases,
        router,
        server,
        redis,
        skipped,
        skipped_deployments,
        proxies,
        ca_bundle,
        env_names,
    };
    remove_skipped(&mut config);
    Some(config)
}

/// Reports a file that holds the configuration below a key of its own: the values of LiteLLM's Helm
/// chart, or a ConfigMap; or one of Docker Compose. Whether it is one.
fn report_wrapping(reader: &mut Reader<'_>, document: &Section<'_>) -> bool {
    if document.find("model_list").is_some() {
        return false;
    }
    let is_config_map = |entry: &Entry| entry.node.value == Value::Text("ConfigMap".to_owned());
    let (entry, message, advice) = if let Some(entry) = document.find("proxy_config") {
        let message = "the configuration is what is below this key: these are the values of a Helm chart";
        (entry, message, "write what is below proxy_config into a file of its own, and name that file")
    } else if let Some(entry) = document.find("kind").filter(|entry| is_config_map(entry)) {
        let message = "the configuration is a text below data: this is a ConfigMap of Kubernetes";
        (entry, message, "write that text into a file of its own, and name that file")
    } else if let Some(entry) = document.find("services").filter(|entry| entry.node.entries().is_some()) {
        let message = "the configuration is another file: this one is for Docker Compose";
        (entry, message, "name the file that it mounts into LiteLLM, such as config.yaml")
    } else {
        return false;
    };
    reader.report.error(entry.place, &document.path.key(&entry.key), message, advice);
    true
}

fn settings_sections<'s>(reader: &mut Reader<'_>, document: &'s Section<'s>) -> Settings<'s> {
    let settings = Settings {
        router: checked_section(reader, document, "router_settings", &ROUTER_SETTINGS),
        litellm: checked_section(reader, document, "litellm_settings", &LITELLM_SETTINGS),
        general: checked_section(reader, document, "general_settings", &GENERAL_SETTINGS),
    };
    check_features(reader, &settings);
    settings
}

fn read_accepted(reader: &mut Reader<'_>, llm_balancer: Option<&Section<'_>>) {
    if let Some((section, entry)) = llm_balancer.and_then(|section| Some((section, section.find("accept")?)))
    {
        let paths = reader.strings(section, "accept").unwrap_or_default();
        reader.report.accept(Accepted::new(entry.place, paths));
    }
}

fn checked_section<'s>(
    reader: &mut Reader<'_>,
    document: &'s Section<'s>,
    key: &'s str,
    table: &Table,
) -> Option<Section<'s>> {
    let section = reader.section(document, key)?;
    check_keys(reader, &section, table);
    Some(section)
}

/// Reports unsupported features that depend on the value of a key.
fn check_features(reader: &mut Reader<'_>, settings: &Settings<'_>) {
    if let Some(litellm) = &settings.litellm {
        check_callbacks(reader, litellm);
    }
}

/// Warns of credentials in `environment_variables:`.
fn warn_of_literal_credentials(reader: &mut Reader<'_>, document: &Section<'_>) {
    let Some(section) = reader.section(document, "environment_variables") else { return };
    for entry in section.entries {
        let is_literal = matches!(&entry.node.value, Value::Text(text) if is_literal(text));
        if is_literal && is_secret_name(&entry.key) {
            let path = section.path.key(&entry.key);
            let advice = "set the variable outside of the file";
            reader.report.warn(entry.place, &path, "credential in plain text", advice);
        }
    }
}

/// Warns of variables that the file and the process set to different values.
fn warn_of_overridden_variables(reader: &mut Reader<'_>, document: &Node) {
    for entry in environment_section(document).iter().filter(|_| ADVISES) {
        if reader.env.is_overridden(&entry.key) {
            let path = Path::top("environment_variables");
            let message = "the process sets it to another value, which os.environ/ refers to, as in LiteLLM";
            reader.report.warn(entry.place, &path.key(&entry.key), message, "remove one of them");
        }
    }
}

fn file_defaults(
    reader: &mut Reader<'_>,
    document: &Section<'_>,
    settings: &Settings<'_>,
    own: &LlmBalancerSettings,
) -> FileDefaults {
    let mut defaults = FileDefaults {
        tls: tls_of_file(reader, settings.litellm.as_ref(), document.place),
        skip_unsupported: own.skip_unsupported,
        environment: reader.env.first_of(&["LITELLM_ENVIRONMENT"]),
        drop_params: drops_params(reader, settings.litellm.as_ref()),
        members: Vec::new(),
        timeout: None,
        stream_timeout: None,
        params: vertex_defaults(reader, settings.litellm.as_ref()),
        credentials: StoredCredentials::read(reader, document),
    };
    let Some(router) = &settings.router else { return defaults };
    let Some(section) = reader.section(router, "default_litellm_params") else { return defaults };
    defaults.timeout = reader.seconds(&section, "timeout");
    defaults.stream_timeout = reader.seconds(&section, "stream_timeout");
    defaults.drop_params |= reader.drop_params(&section) == Some(true);
    for entry in section.entries.iter().filter(|entry| entry.node.value != Value::Null) {
        let path = section.path.key(&entry.key);
        if is_request_parameter(&entry.key) {
            let value = reader.json_value(&entry.node, &path);
            defaults.members.extend(value.map(|value| Member::new(&entry.key, &value)));
        } else if !matches!(entry.key.as_str(), "timeout" | "stream_timeout" | "drop_params") {
            let advice = "set it in each litellm_params";
            reader.report.warn(entry.place, &path, "has no effect as a default", advice);
        }
    }
    defaults
}

/// `vertex_project` and `vertex_location` of litellm_settings, under the names that have the lowest
/// priority in a deployment.
fn vertex_defaults(reader: &mut Reader<'_>, litellm: Option<&Section<'_>>) -> Vec<Entry> {
    let mut defaults = Vec::new();
    let names = [("vertex_project", "vertex_ai_project"), ("vertex_location", "vertex_ai_location")];
    for (of_file, name) in names {
        let Some(section) = litellm else { continue };
        let Some(entry) = section.find(of_file).filter(|entry| !entry.node.is_falsy()) else { continue };
        // Replaced here: a variable that is not set is one finding, and not one for each deployment.
        let Some(value) = reader.string(section, of_file) else { continue };
        let node = Node { place: entry.node.place, value: Value::Text(value) };
        defaults.push(Entry { key: name.to_owned(), place: entry.place, node });
    }
    defaults
}

/// `litellm_settings.drop_params`, or LiteLLM's variable.
fn drops_params(reader: &mut Reader<'_>, litellm: Option<&Section<'_>>) -> bool {
    let of_file = litellm.and_then(|section| reader.drop_params(section));
    let is_on = |value: String| !value.eq_ignore_ascii_case("false") && value != "0";
    of_file.unwrap_or_else(|| reader.env.first_of(&["LITELLM_DROP_PARAMS"]).is_some_and(is_on))
}
