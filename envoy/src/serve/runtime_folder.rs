//! The temporary folder of one run: the filter, in WebAssembly or as a library, the bootstrap, the
//! files that Envoy watches, and the socket to Redis.
//!
//! A run that is killed leaves its folder behind, and with it a bootstrap that may hold keys. The
//! next run of the same user removes it. A file that is locked while its run lives tells them
//! apart. The folder is locked too: systemd-tmpfiles, which removes what is older than ten days of
//! `/tmp`, spares it then.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use llm_balancer_config::Config;
use tempfile::TempDir;

use crate::support::command_error::CommandError;
use crate::support::{files, socket};

/// How the names of the folders begin.
const PREFIX: &str = "llm-balancer-";
/// The lock, and its name until it is locked.
const LOCK: &str = "lock";
const UNLOCKED: &str = "lock.new";
/// rwx------
const MODE: u32 = 0o700;

/// Removed with its content when it is dropped. Only its owner can enter it.
#[derive(Debug)]
pub(crate) struct RuntimeFolder {
    folder: TempDir,
    /// Locked until they are closed, after SIGKILL too: the file, and the folder itself.
    _locks: (File, Option<File>),
}

impl RuntimeFolder {
    /// Makes the folder under `$TMPDIR`, and removes those of runs that were killed.
    pub(crate) fn new() -> Result<Self, CommandError> {
        Self::under(&std::env::temp_dir())
            .map_err(|error| CommandError::Io(format!("cannot make a temporary folder: {error}")))
    }

    fn under(parent: &Path) -> io::Result<Self> {
        let permissions = Permissions::from_mode(MODE);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(permissions).tempdir_in(parent)?;
        // Some file systems lock no folders, and a run without a cleaner needs no lock there.
        let folder_lock = File::open(folder.path()).ok().filter(|folder| folder.lock().is_ok());
        let lock = lock(folder.path())?;
        remove_abandoned(parent, fs::metadata(folder.path())?.uid());
        Ok(Self { folder, _locks: (lock, folder_lock) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The Unix socket to Redis. An error if the configuration needs it and its path is too long.
    pub(crate) fn redis_socket(&self, config: &Config) -> Result<String, CommandError> {
        socket::path(config, &self.file("redis.sock"), "set TMPDIR to a shorter one")
    }
}

/// Makes the lock. It has its name only when it is locked, so that no other run takes it for one of
/// a run that was killed.
fn lock(folder: &Path) -> io::Result<File> {
    let unlocked = folder.join(UNLOCKED);
    files::write_private(&unlocked, b"")?;
    let lock = File::open(&unlocked)?;
    lock.lock()?;
    fs::rename(unlocked, folder.join(LOCK))?;
    Ok(lock)
}

/// Removes this user's folders whose run has ended. A folder that cannot be removed stays.
fn remove_abandoned(parent: &Path, user: u32) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && is_abandoned(&entry.path(), user) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is a folder of this user that no other user can change, and whose lock is free.
fn is_abandoned(folder: &Path, user: u32) -> bool {
    // Not of what a link leads to.
    let is_private = fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o777 == MODE);
    is_private && File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What a run leaves that is killed: the folder, and a lock that is free.
    fn killed(parent: &Path, name: &str) -> PathBuf {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(MODE)).unwrap();
        fs::write(folder.join("bootstrap.json"), "key").unwrap();
        drop(lock(&folder).unwrap());
        folder
    }

    #[test]
    fn the_folder_of_a_run_that_was_killed_is_removed_and_that_of_a_living_one_stays() {
        let parent = tempfile::tempdir().unwrap();
        let living = RuntimeFolder::under(parent.path()).unwrap();
        let left = killed(parent.path(), "llm-balancer-left");
        let next = RuntimeFolder::under(parent.path()).unwrap();
        assert!(!left.exists());
        assert!(living.path().exists() && next.path().exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(next.path()), mode(&next.file(LOCK))), (0o700, 0o600));
        drop((living, next));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    /// That is what systemd-tmpfiles asks for before it removes anything in a folder.
    #[test]
    fn the_folder_of_a_living_run_is_locked_against_cleaners_of_old_files() {
        let parent = tempfile::tempdir().unwrap();
        let living = RuntimeFolder::under(parent.path()).unwrap();
        let folder = File::open(living.path()).unwrap();
        assert!(folder.try_lock().is_err());
        drop(living);
        assert!(folder.try_lock().is_ok());
    }

    #[test]
    fn nothing_else_in_the_temporary_folder_is_touched() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = killed(elsewhere.path(), "llm-balancer-target");
        symlink(&target, parent.path().join("llm-balancer-link")).unwrap();
        let other_name = killed(parent.path(), "llm-other");
        let open_to_others = killed(parent.path(), "llm-balancer-open");
        fs::set_permissions(&open_to_others, Permissions::from_mode(0o777)).unwrap();
        let without_lock = killed(parent.path(), "llm-balancer-starting");
        fs::rename(without_lock.join(LOCK), without_lock.join(UNLOCKED)).unwrap();
        let file = parent.path().join("llm-balancer-file");
        fs::write(&file, "").unwrap();
        let _next = RuntimeFolder::under(parent.path()).unwrap();
        for path in [&target, &other_name, &open_to_others, &without_lock, &file] {
            assert!(path.exists(), "{}", path.display());
        }
        assert!(!is_abandoned(&target, fs::metadata(&target).unwrap().uid() + 1), "of another user");
    }
}
