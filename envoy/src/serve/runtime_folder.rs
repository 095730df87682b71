//! The temporary folder of one run: the filter, the bootstrap, the files that Envoy watches, and
//! the socket to Redis.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use llm_balancer_config::Config;
use tempfile::TempDir;

use crate::support::failure::Failure;
use crate::support::socket;

/// Removed with its content when it is dropped. Only its owner can enter it.
#[derive(Debug)]
pub(crate) struct RuntimeFolder(TempDir);

impl RuntimeFolder {
    /// Makes the folder under `$TMPDIR`.
    pub(crate) fn new() -> Result<Self, Failure> {
        let permissions = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("llm-balancer-").permissions(permissions).tempdir();
        folder.map(Self).map_err(|error| Failure::Io(format!("cannot make a temporary folder: {error}")))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The Unix socket to Redis. An error if the configuration needs it and its path is too long.
    pub(crate) fn redis_socket(&self, config: &Config) -> Result<String, Failure> {
        socket::path(config, &self.file("redis.sock"), "set TMPDIR to a shorter one")
    }
}
