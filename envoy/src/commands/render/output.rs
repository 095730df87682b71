//! The folder of `--out`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use llm_balancer_config::Config;

use crate::cli::RenderArgs;
use crate::support::command_error::CommandError;
use crate::support::{files, socket};

pub(super) fn socket_path(args: &RenderArgs, config: &Config) -> Result<String, CommandError> {
    socket::path(config, &args.redis_socket, "choose a shorter --redis-socket")
}

/// The folder of `--out`.
pub(super) struct OutputFolder(PathBuf);

impl OutputFolder {
    /// Makes the folder if it does not exist.
    pub(super) fn create(dir: &Path) -> Result<Self, CommandError> {
        let path = fs::create_dir_all(dir).and_then(|()| fs::canonicalize(dir));
        path.map(Self).map_err(|error| cannot_write(dir, &error))
    }

    /// The absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), CommandError> {
        files::write_private(&self.file(name), content).map_err(|error| cannot_write(&self.0, &error))
    }

    /// Removes the numbered files of an earlier `render`, which `kubectl apply` would apply too. Returns their names.
    pub(super) fn remove_others(&self, written: &[String]) -> Result<Vec<String>, CommandError> {
        let cannot_write = |error| cannot_write(&self.0, &error);
        let mut removed = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(cannot_write)?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_numbered(&name) && !written.contains(&name) && !entry.path().is_dir() {
                fs::remove_file(entry.path()).map_err(cannot_write)?;
                removed.push(name);
            }
        }
        removed.sort();
        Ok(removed)
    }
}

fn cannot_write(dir: &Path, error: &io::Error) -> CommandError {
    CommandError::Io(format!("cannot write to {}: {error}", dir.display()))
}

/// Whether `render` names its files like this: `07-service.yaml`
fn is_numbered(name: &str) -> bool {
    let parts = name.strip_suffix(".yaml").and_then(|name| name.split_once('-'));
    parts.is_some_and(|(number, kind)| {
        let digits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        digits && !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_before_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OutputFolder::create(dir.path()).unwrap();
        let others = [
            "1-role.yaml", "001-role.yaml", "01-My-role.yaml", "02-role.yml", "kustomization.yaml",
            "03-.yaml",
        ];
        let numbered = ["01-configmap.yaml", "02-role.yaml", "02-service.yaml", "09-envoyfilter.yaml"];
        for name in others.iter().chain(&numbered) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("04-folder.yaml")).unwrap();
        let written = ["01-configmap.yaml".to_owned(), "02-service.yaml".to_owned()];
        let removed = folder.remove_others(&written).unwrap();
        assert_eq!(removed, ["02-role.yaml", "09-envoyfilter.yaml"]);
        let is_there = |name: &&str| dir.path().join(name).exists();
        assert!(others.iter().all(is_there));
        assert!(
            is_there(&"01-configmap.yaml") && is_there(&"02-service.yaml") && is_there(&"04-folder.yaml")
        );
        assert!(!is_there(&"02-role.yaml") && !is_there(&"09-envoyfilter.yaml"));
        assert_eq!(folder.remove_others(&written).unwrap(), Vec::<String>::new());
    }
}
