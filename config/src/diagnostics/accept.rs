//! `llm_balancer.accept`: errors that the operator turns into warnings.
//!
//! Only unsupported features of LiteLLM can be accepted, and credentials that something else adds
//! on the way. Mistakes cannot: invalid values, variables that are not set, unknown names.

use super::Path;
use super::finding::Place;
use super::suggest::Suggestions;

/// Paths that are kept for suggestions, at most.
const MAX_SUGGESTED: usize = 100;

/// The entries of `llm_balancer.accept`, and which of them were used.
#[derive(Default)]
pub(crate) struct Accepted {
    place: Place,
    entries: Vec<Entry>,
    /// Paths that an entry could name and none does.
    unsupported: Vec<String>,
}

struct Entry {
    path: String,
    used: bool,
}

/// An entry that accepts nothing.
pub(super) struct Unused<'a> {
    /// As it is written.
    pub(super) entry: &'a str,
    /// Its index in the list.
    pub(super) index: usize,
    /// Where the list is written.
    pub(super) place: Place,
    /// An unsupported path that the entry may be a misspelling of.
    pub(super) near: Option<&'a str>,
}

impl Accepted {
    /// The paths of the list at `place`.
    pub(crate) fn new(place: Place, paths: Vec<String>) -> Self {
        let entries = paths.into_iter().map(|path| Entry { path, used: false }).collect();
        Self { place, entries, unsupported: Vec::new() }
    }

    /// Whether an entry names this path. Records both.
    pub(super) fn covers(&mut self, path: &Path<'_>) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let path = path.to_string();
        let mut covered = false;
        for entry in self.entries.iter_mut().filter(|entry| names(&entry.path, &path)) {
            entry.used = true;
            covered = true;
        }
        if !covered && self.unsupported.len() < MAX_SUGGESTED {
            self.unsupported.push(path);
        }
        covered
    }

    /// Entries that accept nothing.
    pub(super) fn unused(&self) -> impl Iterator<Item = Unused<'_>> {
        let unsupported = || self.unsupported.iter().map(String::as_str);
        self.entries.iter().enumerate().filter(|(_, entry)| !entry.used).map(move |(index, entry)| {
            let near = Suggestions::default().name(&entry.path, unsupported());
            Unused { entry: &entry.path, index, place: self.place, near }
        })
    }
}

/// Whether an entry names a path: the whole path with its indices, or the same without any, for
/// every item of a list.
pub(super) fn names(entry: &str, path: &str) -> bool {
    entry == path || !entry.contains('[') && entry == without_indices(path)
}

/// `model_list.litellm_params` of `model_list[3].litellm_params`.
fn without_indices(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('[') {
        let is_index = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        match part.split_once(']') {
            Some((index, rest)) if is_index(index) => out.push_str(rest),
            _ => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn an_entry_names_one_path_or_that_of_every_item() {
        let path = "model_list[3].litellm_params.guardrails";
        assert!(names(path, path));
        assert!(names("model_list.litellm_params.guardrails", path));
        assert!(names("litellm_settings.callbacks", "litellm_settings.callbacks[0]"));
        assert!(!names("model_list[2].litellm_params.guardrails", path));
        assert!(!names("model_list.litellm_params", path));
    }
}
