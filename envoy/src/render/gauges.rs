//! Gauges that `serve` sets: a listener without clients, whose filter reads them from a file.
//!
//! Envoy re-reads the file when another takes its place, and the filter sets the gauges when it is
//! configured. So they are beside the filter's other metrics, and a change of them costs nothing
//! else, however large the user's file is.

use std::path::{Path, PathBuf};

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::dynamic::source;
use super::message::{http_connection_manager, router, typed};
use super::process::{Options, Runtime};
use super::{attempts, first_hop};

/// Name of the listener and of its filter.
const GAUGES: &str = "gauges";

/// The file in the runtime folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(GAUGES).with_extension("json")
}

/// The listener, which is part of the bootstrap.
pub(super) fn listener(folder: &Path, runtime: Runtime) -> Value {
    json!({
        "name": GAUGES,
        "internal_listener": {},
        "filter_chains": http_connection_manager(json!({
            // No statistics of its own: it has no requests.
            "stat_prefix": names::ATTEMPTS,
            "route_config": {},
            "http_filters": [first_hop::discovered(GAUGES, source(&file(folder)), runtime), router()],
        })),
    })
}

/// The content of the file: lines with a series and its value each. `version` differs from that of
/// every other content. Variables of another configuration would make another VM.
pub(crate) fn response(version: u64, lines: &str, config: &Config, options: &Options) -> Vec<u8> {
    const EXTENSION: &str = "envoy.config.core.v3.TypedExtensionConfig";
    let root_id = format!("{}{version}", names::GAUGES);
    let mut filter = attempts::filter(&root_id, config, &attempts::as_text(lines), options);
    // Envoy asks for the filter by this name.
    if let Some(name) = filter.get_mut("name") {
        *name = GAUGES.into();
    }
    json!({"version_info": version.to_string(), "resources": [typed(EXTENSION, filter)]})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::load;

    use super::*;
    use crate::render::FilterSource;

    #[test]
    fn a_file_of_gauges_has_a_filter_that_is_new_to_envoy_and_holds_no_credentials() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: sk-secret}}\n";
        let config = load("config.yaml", &|_| Ok(text.to_owned()), &|_| None).reading.config.unwrap();
        let module = Options { filter: FilterSource::Module, ..Options::example() };
        for (options, role, lines) in [
            (Options::example(), "/config/root_id", "/config/configuration/value"),
            (module, "/filter_name", "/filter_config/value"),
        ] {
            let written = response(3, "a 1\n", &config, &options);
            let written: Value = serde_json::from_slice(&written).unwrap();
            assert_eq!(written["version_info"], "3");
            let filter = &written["resources"][0];
            assert_eq!(filter["name"], GAUGES);
            let filter = &filter["typed_config"];
            assert_eq!(filter.pointer(role).unwrap(), "llm-balancer/gauges/3");
            assert_eq!(filter.pointer(lines).unwrap(), "a 1\n");
            assert!(!written.to_string().contains("sk-secret"), "{written}");
        }
    }
}
