//! Whether the files of a configuration have changed.
//!
//! By looking, and not by asking the kernel to tell: looking works the same for a file that is written anew, for one that another
//! takes the place of (editors), for links that are turned elsewhere (ConfigMaps) and for folders of another machine.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::config_file::{Sign, sign};

/// How often there is a look. A change is taken up when it has stood still for one.
pub const LOOK: Duration = Duration::from_millis(250);

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
    /// These files, with their signs from just before they were read.
    pub fn new(files: Vec<(PathBuf, Sign)>) -> Self {
        let (files, read): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        Self { files, seen: read.clone(), read }
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

    /// Reading has found these files, with their signs from just before they were read.
    pub fn set_files(&mut self, files: Vec<(PathBuf, Sign)>) {
        *self = Self::new(files);
    }
}

fn signs(files: &[PathBuf]) -> Vec<Sign> {
    files.iter().map(|file| sign(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn watch(file: &Path) -> Watch {
        Watch::new(vec![(file.to_owned(), sign(file))])
    }

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
        let mut watch = watch(&file);
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
        let mut watch = watch(&path("config.yaml"));
        symlink("2", path("..next")).unwrap();
        fs::rename(path("..next"), path("..data")).unwrap();
        assert!(seen(&mut watch));
    }

    #[test]
    fn a_change_that_is_still_going_on_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "1").unwrap();
        let mut watch = watch(&file);
        for text in ["22", "333", "4444"] {
            fs::write(&file, text).unwrap();
            assert!(!watch.has_changed());
        }
        assert!(watch.has_changed());
    }
    #[test]
    fn what_is_written_after_it_was_read_and_before_it_is_watched_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let model = |id: &str| {
            format!(
                "model_list: [{{model_name: g, litellm_params: {{model: openai/m, api_key: k}}, model_info: {{id: {id}}}}}]\n"
            )
        };
        fs::write(path("config.yaml"), "include: [more.yaml]\n").unwrap();
        fs::write(path("more.yaml"), model("paris")).unwrap();
        for (file, text) in
            [("more.yaml", model("new-york")), ("config.yaml", "include: [more.yaml] # again\n".to_owned())]
        {
            let read = crate::support::config_file::read(&path("config.yaml")).unwrap();
            assert!(read.loaded.reading.config.is_some(), "{:?}", read.loaded.reading.findings);
            assert_eq!(read.files.len(), 2, "{:?}", read.files);
            fs::write(path(file), text).unwrap();
            let mut started = Watch::new(read.files.clone());
            assert!(seen(&mut started), "{file}");
            let mut reloaded = watch(&path("config.yaml"));
            reloaded.set_files(read.files);
            assert!(seen(&mut reloaded), "{file}");
        }
    }
}
