//! A wall clock that a test sets, for the balancer and its Envoy alone.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::Launch;

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/product/clock.c");

/// A clock that is right until it is set.
#[derive(Debug)]
pub struct Clock {
    dir: TempDir,
}

impl Clock {
    /// Compiles the shim that shifts it, with the C compiler that Rust links with.
    #[expect(clippy::new_without_default, reason = "it starts a compiler")]
    pub fn new() -> Self {
        let clock = Self { dir: TempDir::new().expect("a temporary directory") };
        clock.set(0);
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(clock.shim()).arg(SHIM).status();
        assert!(compiled.expect("a C compiler").success(), "the shim compiles");
        clock
    }

    /// The balancer, by this clock.
    pub fn of(&self, launch: Launch) -> Launch {
        launch.env("LD_PRELOAD", self.shim()).env("CLOCK_SHIFT", self.shift())
    }

    /// Sets it to so many seconds ahead of the time, or behind.
    pub fn set(&self, seconds: i64) {
        // Never truncated: processes have it in their memory.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.shift());
        file.and_then(|mut file| file.write_all(&seconds.to_ne_bytes())).expect("the shift can be written");
    }

    fn shim(&self) -> PathBuf {
        self.dir.path().join("clock.so")
    }

    fn shift(&self) -> PathBuf {
        self.dir.path().join("shift")
    }
}
