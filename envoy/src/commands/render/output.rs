//! Files and folders that `render` writes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use llm_balancer_config::Config;
use serde_json::Value;

use crate::cli::Render;
use crate::render::{to_documents, to_yaml};
use crate::support::failure::Failure;
use crate::support::socket;

pub(super) fn socket_path(args: &Render, config: &Config) -> Result<String, Failure> {
    socket::path(config, &args.redis_socket, "choose a shorter --redis-socket")
}

/// Removes what was rendered here before and is not any more, which `kubectl apply` would take for part of it: a later
/// number wins over an earlier one.
pub(super) fn remove_others(folder: &Path, written: &[String]) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_numbered(&name) && !written.contains(&name) && !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

/// `07-service.yaml`, as `render` names its files.
fn is_numbered(name: &str) -> bool {
    let parts = name.strip_suffix(".yaml").and_then(|name| name.split_once('-'));
    parts.is_some_and(|(number, kind)| {
        let digits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        digits && !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

pub(super) fn yaml(bootstrap: &Value) -> Result<String, Failure> {
    to_yaml(bootstrap).map_err(|error| no_yaml(error.as_ref()))
}

pub(super) fn documents(objects: &[Value]) -> Result<String, Failure> {
    to_documents(objects).map_err(|error| no_yaml(error.as_ref()))
}

fn no_yaml(error: &dyn std::error::Error) -> Failure {
    Failure::Machine(format!("cannot write YAML: {error}"))
}

pub(super) fn folder(dir: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    fs::canonicalize(dir)
}

pub(super) fn cannot_write(dir: &Path, error: &io::Error) -> Failure {
    Failure::Machine(format!("cannot write to {}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_before_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let others = [
            "1-role.yaml",
            "001-role.yaml",
            "01-My-role.yaml",
            "02-role.yml",
            "kustomization.yaml",
            "03-.yaml",
        ];
        let numbered = ["01-configmap.yaml", "02-role.yaml", "02-service.yaml", "09-envoyfilter.yaml"];
        for name in others.iter().chain(&numbered) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("04-folder.yaml")).unwrap();
        let written = ["01-configmap.yaml".to_owned(), "02-service.yaml".to_owned()];
        let removed = remove_others(dir.path(), &written).unwrap();
        assert_eq!(removed, ["02-role.yaml", "09-envoyfilter.yaml"]);
        let is_there = |name: &&str| dir.path().join(name).exists();
        assert!(others.iter().all(is_there));
        assert!(
            is_there(&"01-configmap.yaml") && is_there(&"02-service.yaml") && is_there(&"04-folder.yaml")
        );
        assert!(!is_there(&"02-role.yaml") && !is_there(&"09-envoyfilter.yaml"));
        assert_eq!(remove_others(dir.path(), &written).unwrap(), Vec::<String>::new());
    }
}
