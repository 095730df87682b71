//! The environment of Envoy, which is that of this program.

use std::env;
use std::ffi::OsString;

use llm_balancer_config::Config;

use crate::support::config_file::LoadedConfig;

/// The configuration with the names of all variables, whichever of them its file names. Other
/// variables make another VM, by Envoy's rules, and requests that are between two attempts would be
/// lost with the old one.
pub(crate) fn with_all_variables(loaded: LoadedConfig) -> LoadedConfig {
    let env_names = names(env::vars_os().map(|(name, _)| name));
    LoadedConfig { config: Config { env_names, ..loaded.config }, ..loaded }
}

/// In order, so that every configuration has the same. The filter reads only UTF-8.
fn names(variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut names: Vec<_> = variables.filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order() {
        assert_eq!(names(["B", "A"].map(OsString::from).into_iter()), ["A", "B"]);
    }
}
