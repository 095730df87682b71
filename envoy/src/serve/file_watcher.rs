//! Whether the files of a configuration have changed.
//!
//! The watcher polls. Unlike inotify, that also works for files that another replaces (editors),
//! for links that change (ConfigMaps) and for network file systems.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::config_file::FileStamp;

/// Between two polls.
const POLL: Duration = Duration::from_millis(200);
/// The same after a change, which counts when the next poll finds it again, so that a file is not
/// read half written.
const SETTLED: Duration = Duration::from_millis(50);

/// The files of one configuration.
#[derive(Debug)]
pub(crate) struct FileWatcher {
    files: Vec<PathBuf>,
    /// When they were last read.
    read: Vec<FileStamp>,
    /// At the last poll.
    seen: Vec<FileStamp>,
}

impl FileWatcher {
    /// Watches these files, with their stamps from just before they were read.
    pub(crate) fn new(files: Vec<(PathBuf, FileStamp)>) -> Self {
        let (files, read): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        Self { files, seen: read.clone(), read }
    }

    /// How long to wait before the next poll.
    pub(super) fn interval(&self) -> Duration {
        if self.seen == self.read { POLL } else { SETTLED }
    }

    /// Polls. Returns whether a file has changed since it was read, and not since the last poll.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = stamps(&self.files);
        let is_settled = now == self.seen;
        self.seen = now;
        is_settled && self.seen != self.read
    }

    /// The files are about to be read: only later changes count.
    pub(super) fn mark_read(&mut self) {
        self.seen = stamps(&self.files);
        self.read.clone_from(&self.seen);
    }
}

fn stamps(files: &[PathBuf]) -> Vec<FileStamp> {
    files.iter().map(|file| FileStamp::of(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn watch(file: &Path) -> FileWatcher {
        FileWatcher::new(vec![(file.to_owned(), FileStamp::of(file))])
    }

    /// Polls until a change has settled.
    fn seen(watch: &mut FileWatcher) -> bool {
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
        watch.mark_read();
        assert!(!seen(&mut watch));
        fs::write(&beside, "33").unwrap();
        fs::rename(&beside, &file).unwrap();
        assert!(seen(&mut watch));
        watch.mark_read();
        fs::remove_file(&file).unwrap();
        assert!(seen(&mut watch));
    }

    #[test]
    fn a_link_that_is_turned_elsewhere_has_changed() {
        // As ConfigMaps are mounted: config.yaml -> ..data/config.yaml, ..data -> a folder that is
        // replaced as a whole.
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
            assert_eq!(watch.interval(), SETTLED, "the next poll follows soon");
        }
        assert!(watch.has_changed());
        watch.mark_read();
        assert_eq!(watch.interval(), POLL);
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
            let read = crate::support::config_file::ConfigFile::read(&path("config.yaml")).unwrap();
            assert!(read.loaded.reading.config.is_some(), "{:?}", read.loaded.reading.findings);
            assert_eq!(read.files.len(), 2, "{:?}", read.files);
            fs::write(path(file), text).unwrap();
            let mut started = FileWatcher::new(read.files);
            assert!(seen(&mut started), "{file}");
        }
    }
}
