//! What the environment adds to a file, in the operator's words.

use std::collections::BTreeMap;

use llm_balancer_config::Config;

use crate::support::ca_bundle;

/// `2 of 3 deployments are reached through http://proxy:3128 (HTTPS_PROXY)`, a line for each proxy.
pub fn proxies(config: &Config) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for deployment in &config.deployments {
        if let Some(proxy) = config.proxies.of(&deployment.endpoint) {
            let count = counts.entry(format!("{} ({})", proxy.shown(), proxy.variable)).or_default();
            *count = count.saturating_add(1);
        }
    }
    let all = config.deployments.len();
    let line = |(proxy, count)| format!("{count} of {all} deployments are reached through {proxy}");
    counts.into_iter().map(line).collect()
}

/// `OPENAI_API_KEY, OPENAI_BASE_URL: read from the environment where the file is silent`; nothing where nothing was read.
pub fn variables(names: &[String]) -> Option<String> {
    (!names.is_empty())
        .then(|| format!("{}: read from the environment where the file is silent", names.join(", ")))
}

/// `servers are verified by the CAs in /corp.pem (REQUESTS_CA_BUNDLE)`, or why `serve` would not start on this machine.
pub fn cas(config: &Config) -> Option<String> {
    match ca_bundle::find(config) {
        Err(failure) => Some(format!("serve would not start here: {failure}")),
        Ok(used) => {
            let (variable, file) = config.ca_bundle.as_ref().filter(|(_, file)| *file == used)?;
            Some(format!("servers are verified by the CAs in {file} ({variable})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::read;

    use super::*;

    #[test]
    fn each_proxy_has_a_line_and_no_line_has_a_password() {
        let item = |base: &str| {
            format!(
                "- {{model_name: g, litellm_params: {{model: openai/m, api_base: '{base}', api_key: k}}}}\n"
            )
        };
        let text =
            format!("model_list:\n{}{}{}", item("https://a/v1"), item("http://b/v1"), item("https://c/v1"));
        let lookup = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://ada:secret@p:3128".to_owned()),
            "HTTP_PROXY" => Some("p:80".to_owned()),
            "NO_PROXY" => Some("c".to_owned()),
            _ => None,
        };
        let lines = proxies(&read("config.yaml", &text, &lookup).config.unwrap());
        let expected = [
            "1 of 3 deployments are reached through http://p:3128 (HTTPS_PROXY)",
            "1 of 3 deployments are reached through http://p:80 (HTTP_PROXY)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_cas_that_a_variable_names_are_told_and_so_is_a_file_that_is_not_there() {
        let told = |base: &str, file: &str| {
            let text = format!(
                "model_list:\n- {{model_name: g, litellm_params: {{model: openai/m, api_base: '{base}', api_key: k}}}}\n"
            );
            let lookup = |name: &str| (name == "REQUESTS_CA_BUNDLE").then(|| file.to_owned());
            cas(&read("config.yaml", &text, &lookup).config.unwrap())
        };
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let expected = format!("servers are verified by the CAs in {file} (REQUESTS_CA_BUNDLE)");
        assert_eq!(told("https://a/v1", file), Some(expected));
        let missing = told("https://a/v1", "/nowhere/ca.pem").unwrap();
        let start = "serve would not start here: REQUESTS_CA_BUNDLE: cannot read /nowhere/ca.pem: ";
        assert!(missing.starts_with(start), "{missing}");
        assert_eq!(told("http://a/v1", "/nowhere/ca.pem"), None, "nothing needs it");
    }

    #[test]
    fn variables_that_were_read_are_named_and_their_values_are_not() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m}}\n";
        let lookup = |name: &str| match name {
            "OPENAI_API_KEY" => Some("sk-secret".to_owned()),
            "OPENAI_BASE_URL" => Some("https://gateway.example/v1".to_owned()),
            _ => None,
        };
        let reading = read("config.yaml", text, &lookup);
        let said = variables(&reading.variables).unwrap();
        assert_eq!(
            said,
            "OPENAI_API_KEY, OPENAI_BASE_URL: read from the environment where the file is silent"
        );
        assert_eq!(variables(&[]), None);
    }
}
