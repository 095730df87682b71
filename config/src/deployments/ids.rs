//! Ids of deployments, bit for bit those of LiteLLM, and the names of clusters made from them.

use sha2::{Digest, Sha256};

use crate::config::{Endpoint, Tls};
use crate::values::environment::{Environment, PREFIX};
use crate::yaml::python;
use crate::yaml::tree::{Entry, Node, Value};

/// LiteLLM's id of a deployment that has no `model_info.id`: sha256 over the group and every key and value of
/// litellm_params in order, the environment applied (BEHAVIOUR 1.4). `organization` stands in for a list of them.
pub fn of_deployment(
    group: &str,
    params: &[Entry],
    organization: Option<&str>,
    env: &mut Environment<'_>,
) -> String {
    let mut hash = Sha256::new();
    hash.update(group);
    let mut text = String::new();
    for entry in params {
        hash.update(&entry.key);
        match organization {
            Some(name) if entry.key == "organization" => hash.update(name),
            _ => {
                text.clear();
                python::hashed(&substituted(&entry.node.value, env), &mut text);
                hash.update(&text);
            }
        }
    }
    hex(&hash.finalize())
}

/// sha256 of a text, in lower-case hex.
fn of_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |index: u8| DIGITS.get(usize::from(index)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The environment applied where LiteLLM applies it: values of maps, but not text that stands in a list itself.
/// A variable that is not set is None there, and the words true and false become truth values.
fn substituted(value: &Value, env: &mut Environment<'_>) -> Value {
    match value {
        Value::Text(text) => match text.strip_prefix(PREFIX) {
            Some(name) => from_environment(env.get(name)),
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

/// The cluster of a deployment: `gpt-4o--paris-90ba31`, with the first digits of the id where that says nothing. The part
/// behind the last `--` is made from the id, which is unique, so the name is; and from where it leads, so that a deployment
/// that moves has another, and no request with the key of one place meets the other. No dots: Envoy's statistics would cut
/// it there.
pub fn cluster(group: &str, id: &str, endpoint: &Endpoint) -> String {
    format!("{}-{}", readable_cluster(group, id), place(endpoint))
}

/// A few digits for a place: its host, its port, and what makes a certificate good.
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
    let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = if is_hash { id.to_owned() } else { of_text(id) };
    format!("{group}--{}", digits.get(..16).unwrap_or(&digits))
}

/// A cluster's name that no other id can come to.
pub fn unmistakable_cluster(id: &str, endpoint: &Endpoint) -> String {
    format!("deployment--{}-{}", of_text(id), place(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::report::Report;
    use crate::yaml::parse;

    fn id(group: &str, yaml: &str) -> String {
        let node = parse::parse(0, yaml, &mut Report::new(vec![String::new()])).unwrap();
        let lookup = |name: &str| match name {
            "KEY" => Some("sk-env".to_owned()),
            "YES" => Some(" TRUE".to_owned()),
            "SEVEN" => Some("7".to_owned()),
            _ => None,
        };
        of_deployment(group, node.entries().unwrap(), None, &mut Environment::new(&lookup, &[]))
    }

    /// The first row is BEHAVIOUR 1.4's; the others were computed by `litellm.router_api.deployment_id` of 1.109.1
    /// over what PyYAML 6.0.3 makes of the same text.
    #[test]
    fn ids_are_those_of_litellm() {
        let rows = include!("../../tests/ids.rs.in");
        for (group, yaml, expected) in rows {
            assert_eq!(id(group, yaml), expected, "{group} {yaml}");
        }
    }

    #[test]
    fn a_cluster_is_named_for_its_group_and_its_id() {
        let hash = "f673ec85de39ab1864367d1e6f02bf8937a0badc39c0a74acd3bdd71de57be2b";
        assert_eq!(readable_cluster("gpt-4o", "paris"), "gpt-4o--paris");
        assert_eq!(readable_cluster("openai/gpt-3.5*", "paris"), "openai_gpt-3_5_--paris");
        assert_eq!(readable_cluster("g", hash), "g--f673ec85de39ab18");
        assert!(readable_cluster("é", "a--b").starts_with("_--"));
        assert_eq!(readable_cluster("é", "a--b").len(), 19);
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
