//! What a configuration takes from the environment, in lines for the operator.

use std::collections::BTreeMap;

use llm_balancer_config::Config;

use super::ca_bundle;

/// One line for each forward proxy: `2 of 3 deployments are reached through http://proxy:3128
/// (HTTPS_PROXY)`
pub(crate) fn proxies(config: &Config) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for deployment in &config.deployments {
        if let Some(proxy) = config.proxies.of(&deployment.endpoint) {
            let count =
                counts.entry(format!("{} ({})", proxy.url.display_url(), proxy.variable)).or_default();
            *count = count.saturating_add(1);
        }
    }
    let all = config.deployments.len();
    let line = |(proxy, count)| format!("{count} of {all} deployments are reached through {proxy}");
    counts.into_iter().map(line).collect()
}

/// Variables that fill keys which the file leaves out: `from the environment: OPENAI_API_KEY,
/// OPENAI_BASE_URL`
pub(crate) fn variables(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("from the environment: {}", names.join(", ")))
}

/// `servers are verified with the CAs in /corp.pem (REQUESTS_CA_BUNDLE)`, or why `serve` cannot
/// start on this machine.
pub(crate) fn cas(config: &Config) -> Option<String> {
    match ca_bundle::find(config) {
        Err(failure) => Some(format!("serve cannot start here: {failure}")),
        Ok(used) => {
            let (variable, file) = config.ca_bundle.as_ref().filter(|(_, file)| *file == used)?;
            Some(format!("servers are verified with the CAs in {file} ({variable})"))
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
    fn the_cas_that_a_variable_names_are_reported_and_so_is_a_missing_file() {
        let line = |base: &str, file: &str| {
            let text = format!(
                "model_list:\n- {{model_name: g, litellm_params: {{model: openai/m, api_base: '{base}', api_key: k}}}}\n"
            );
            let lookup = |name: &str| (name == "REQUESTS_CA_BUNDLE").then(|| file.to_owned());
            cas(&read("config.yaml", &text, &lookup).config.unwrap())
        };
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let expected = format!("servers are verified with the CAs in {file} (REQUESTS_CA_BUNDLE)");
        assert_eq!(line("https://a/v1", file), Some(expected));
        let missing = line("https://a/v1", "/nowhere/ca.pem").unwrap();
        let start = "serve cannot start here: REQUESTS_CA_BUNDLE: cannot read /nowhere/ca.pem: ";
        assert!(missing.starts_with(start), "{missing}");
        assert_eq!(line("http://a/v1", "/nowhere/ca.pem"), None, "nothing needs it");
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
        let line = variables(&reading.variables).unwrap();
        assert_eq!(line, "from the environment: OPENAI_API_KEY, OPENAI_BASE_URL");
        assert_eq!(variables(&[]), None);
        let text = format!("{text}environment_variables: {{OPENAI_API_KEY: os.environ/OPENAI_API_KEY}}\n");
        let reading = read("config.yaml", &text, &lookup);
        let own = variables(&reading.variables).unwrap();
        assert_eq!(own, "from the environment: OPENAI_BASE_URL", "the file has the other");
    }
}
