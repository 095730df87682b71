//! The temporary folder of one run: the filter, the bootstrap, the files that Envoy watches, and
//! the socket to Redis.

use std::fs::Permissions;
use std::io;
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
    pub(crate) fn new() -> io::Result<Self> {
        let permissions = Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix("llm-balancer-").permissions(permissions).tempdir().map(Self)
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The filter's file.
    pub(crate) fn filter(&self) -> PathBuf {
        self.path().join("filter.wasm")
    }

    /// The bootstrap's file.
    pub(crate) fn bootstrap(&self) -> PathBuf {
        self.path().join("bootstrap.json")
    }

    /// The Unix socket to Redis. An error if the configuration needs it and its path is too long.
    pub(crate) fn redis_socket(&self, config: &Config) -> Result<String, Failure> {
        socket::path(config, &self.path().join("redis.sock"), "set TMPDIR to a shorter one")
    }
}
