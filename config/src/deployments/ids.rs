//! Ids of deployments, bit for bit those of LiteLLM, and the names of clusters.

use sha2::{Digest, Sha256};

use crate::config::{Endpoint, Tls};
use crate::values::{Environment, PREFIX};
use crate::yaml::{Entry, Node, Value, python};

/// LiteLLM's id of a deployment without `model_info.id`: sha256 over the group and every key and
/// value of litellm_params in order, with variables replaced (BEHAVIOUR 1.4). `organization`
/// replaces a list of them.
///
/// Without an environment, over the references as they are written: what clusters are named after. The
/// machine that renders them need not have the keys of the Envoy that serves.
pub(super) fn of_deployment(
    group: &str,
    params: &[Entry],
    organization: Option<&str>,
    mut env: Option<&mut Environment<'_>>,
) -> String {
    let mut hash = Sha256::new();
    hash.update(group);
    for entry in params {
        hash.update(&entry.key);
        let value = &entry.node.value;
        match (organization, env.as_deref_mut()) {
            (Some(name), _) if entry.key == "organization" => hash.update(name),
            (_, Some(env)) => hash.update(python::hashed(&substituted(value, env))),
            (_, None) => hash.update(python::hashed(value)),
        }
    }
    hex(&hash.finalize())
}

/// sha256 of a text, in lower-case hex.
fn of_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether an id is a sha256, so computed and not written.
pub(super) fn is_hash(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Variables replaced where LiteLLM replaces them: in values of maps, but not in strings of a list.
/// A variable that is not set is None, and the words true and false become booleans.
fn substituted(value: &Value, env: &mut Environment<'_>) -> Value {
    match value {
        Value::Text(text) => match text.strip_prefix(PREFIX) {
            Some(name) => from_environment(env.referenced(name)),
            None => value.clone(),
        },
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|entry| substituted_entry(entry, env)).collect())
        }
        Value::List(items) => {
            let items = items.iter().map(|item| match &item.value {
                Value::Map(_) => Node { place: item.place, value: substituted(&item.value, env) },
                _ => item.clone(),
            });
            Value::List(items.collect())
        }
        scalar => scalar.clone(),
    }
}

fn substituted_entry(entry: &Entry, env: &mut Environment<'_>) -> Entry {
    let node = Node { place: entry.node.place, value: substituted(&entry.node.value, env) };
    Entry { key: entry.key.clone(), place: entry.place, node }
}

fn from_environment(value: Option<String>) -> Value {
    let Some(text) = value else { return Value::Null };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Text(text),
    }
}

/// The cluster of a deployment: `gpt-4o--paris-90ba31`, from its group, its id and a hash of its
/// address.
///
/// The id makes it unique; a computed id is that of the references, cut to 16 digits. The address makes a deployment that
/// moves another cluster, so no request carries the key of one provider to the other. It has no
/// dots, at which Envoy's statistics would split it.
pub(super) fn cluster(group: &str, id: &str, endpoint: &Endpoint) -> String {
    format!("{}-{}", readable_cluster(group, id), place(endpoint))
}

/// Six digits of a hash over host, port and how the certificate is verified.
fn place(endpoint: &Endpoint) -> String {
    let tls = match &endpoint.tls {
        Tls::Off => "off",
        Tls::SystemCas => "system",
        Tls::Unverified => "unverified",
        Tls::CaFile(file) => file,
    };
    let digits = of_text(&format!("{} {} {tls}", endpoint.host, endpoint.port));
    digits.get(..6).unwrap_or_default().to_owned()
}

fn readable_cluster(group: &str, id: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let group: String = group.chars().take(48).map(|char| if is_plain(char) { char } else { '_' }).collect();
    let readable = (1..=40).contains(&id.len())
        && id.chars().all(is_plain)
        && !id.starts_with('-')
        && !id.contains("--");
    if readable {
        return format!("{group}--{id}");
    }
    let digits = if is_hash(id) { id.to_owned() } else { of_text(id) };
    format!("{group}--{}", digits.get(..16).unwrap_or(&digits))
}

/// The cluster of an id that begins like another one's hash: with the whole hash.
pub(super) fn unambiguous_cluster(id: &str, endpoint: &Endpoint) -> String {
    format!("deployment--{}-{}", of_text(id), place(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Report;
    use crate::yaml::parse;

    fn id(group: &str, yaml: &str) -> String {
        let node = parse(0, yaml, &mut Report::new("")).unwrap();
        let lookup = |name: &str| match name {
            "KEY" => Some("sk-env".to_owned()),
            "YES" => Some(" TRUE".to_owned()),
            "SEVEN" => Some("7".to_owned()),
            _ => None,
        };
        of_deployment(group, node.entries().unwrap(), None, Some(&mut Environment::new(&lookup, &[])))
    }

    /// The first row is of BEHAVIOUR 1.4. The others were computed by
    /// `litellm.router_api.deployment_id` of 1.109.1 from the values of PyYAML 6.0.3.
    #[test]
    fn ids_are_those_of_litellm() {
        let rows = include!("../../tests/ids.rs.in");
        for (group, yaml, expected) in rows {
            assert_eq!(id(group, yaml), expected, "{group} {yaml}");
        }
    }

    #[test]
    fn a_cluster_is_named_after_its_group_and_its_id() {
        let hash = "f673ec85de39ab1864367d1e6f02bf8937a0badc39c0a74acd3bdd71de57be2b";
        assert_eq!(readable_cluster("gpt-4o", "paris"), "gpt-4o--paris");
        assert_eq!(readable_cluster("openai/gpt-3.5*", "paris"), "openai_gpt-3_5_--paris");
        assert_eq!(readable_cluster("g", hash), "g--f673ec85de39ab18");
        assert!(readable_cluster("é", "a--b").starts_with("_--"));
        assert_eq!(readable_cluster("é", "a--b").len(), 19);
    }

    #[test]
    fn a_cluster_has_one_name_whatever_value_the_variable_of_its_key_has() {
        let at = |key: &str| {
            let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: os.environ/KEY}}\n";
            let config = crate::read("config.yaml", text, &|name| (name == "KEY").then(|| key.to_owned()))
                .config
                .unwrap();
            (config.deployments[0].id.clone(), config.deployments[0].cluster.clone())
        };
        let ((old_id, old), (new_id, new)) = (at("sk-old"), at("sk-new"));
        assert_eq!(old, new);
        assert_ne!(old_id, new_id, "the id is LiteLLM's");
    }

    #[test]
    fn a_deployment_that_moves_has_another_cluster() {
        let at = |base: &str, more: &str| {
            let text = format!(
                "model_list:\n- {{model_name: g, litellm_params: {{model: openai/m, api_key: k, api_base: '{base}'{more}}}, model_info: {{id: paris}}}}\n"
            );
            let config = crate::read("config.yaml", &text, &|_| None).config.unwrap();
            config.deployments[0].cluster.clone()
        };
        let first = at("https://a.example/v1", "");
        assert!(first.starts_with("g--paris-"), "{first}");
        assert_eq!(at("https://a.example/v2", ", rpm: 3"), first);
        let elsewhere = [
            at("https://b.example/v1", ""),
            at("https://a.example:444/v1", ""),
            at("http://a.example:443/v1", ""),
            at("https://a.example/v1", ", ssl_verify: false"),
        ];
        for other in elsewhere {
            assert_ne!(other, first);
        }
    }
}
