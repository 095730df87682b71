//! Whether the files of a configuration have changed.
//!
//! By looking, and not by asking the kernel to tell: looking works the same for a file that is written anew, for one that another
//! takes the place of (editors), for links that are turned elsewhere (ConfigMaps) and for folders of another machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often there is a look. A change is taken up when it has stood still for one.
pub const LOOK: Duration = Duration::from_millis(250);

/// What another content changes, of the file at the end of all links; `None` where there is none.
type Sign = Option<(u64, u64, u64, i64, i64)>;

/// The files of one configuration.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Sign>,
    /// As they were at the last look.
    seen: Vec<Sign>,
}

impl Watch {
    /// These files, which are about to be read.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let seen = signs(&files);
        Self { files, read: seen.clone(), seen }
    }

    /// Looks. Says whether something has changed since they were read, and has stood still since the last look.
    pub fn has_changed(&mut self) -> bool {
        let now = signs(&self.files);
        let stands_still = now == self.seen;
        self.seen = now;
        stands_still && self.seen != self.read
    }

    /// They are about to be read, whatever comes of it.
    pub fn reading(&mut self) {
        self.seen = signs(&self.files);
        self.read.clone_from(&self.seen);
    }

    /// Reading has found that these are the files; those that are new are as they are now.
    pub fn set_files(&mut self, files: Vec<PathBuf>) {
        let known = |file: &PathBuf| self.files.iter().position(|known| known == file);
        let read = files
            .iter()
            .map(|file| {
                known(file).and_then(|place| self.read.get(place).copied()).unwrap_or_else(|| sign(file))
            })
            .collect();
        self.seen = signs(&files);
        (self.files, self.read) = (files, read);
    }
}

fn signs(files: &[PathBuf]) -> Vec<Sign> {
    files.iter().map(|file| sign(file)).collect()
}

fn sign(file: &Path) -> Sign {
    let data = fs::metadata(file).ok()?;
    // ctime changes with every write and rename, and cannot be set back.
    Some((data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Looks until something has stood still.
    fn seen(watch: &mut Watch) -> bool {
        let first = watch.has_changed();
        watch.has_changed() || first
    }

    #[test]
    fn a_file_that_is_written_or_replaced_has_changed_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, beside) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(!seen(&mut watch));
        fs::write(&file, "22").unwrap();
        assert!(seen(&mut watch));
        watch.reading();
        assert!(!seen(&mut watch));
        fs::write(&beside, "33").unwrap();
        fs::rename(&beside, &file).unwrap();
        assert!(seen(&mut watch));
        watch.reading();
        fs::remove_file(&file).unwrap();
        assert!(seen(&mut watch));
    }

    #[test]
    fn a_link_that_is_turned_elsewhere_has_changed() {
        // As ConfigMaps are mounted: config.yaml -> ..data/config.yaml, ..data -> a folder that is replaced as a whole.
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["1", "2"] {
            fs::create_dir(path(folder)).unwrap();
            fs::write(path(folder).join("config.yaml"), "same").unwrap();
        }
        symlink("1", path("..data")).unwrap();
        symlink("..data/config.yaml", path("config.yaml")).unwrap();
        let mut watch = Watch::new(vec![path("config.yaml")]);
        symlink("2", path("..next")).unwrap();
        fs::rename(path("..next"), path("..data")).unwrap();
        assert!(seen(&mut watch));
    }

    #[test]
    fn a_change_that_is_still_going_on_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        for text in ["22", "333", "4444"] {
            fs::write(&file, text).unwrap();
            assert!(!watch.has_changed());
        }
        assert!(watch.has_changed());
    }
}
