//! `llm_balancer.accept`: refusals that an operator knows about and takes as warnings.
//!
//! Only features of LiteLLM's that are not served can be accepted, and credentials that something else adds on the way.
//! Mistakes cannot: what is no valid configuration, a variable that is not set, a name that leads nowhere.

use crate::diagnostics::report::Path;
use crate::diagnostics::suggest::Suggestions;
use crate::values::reader::{Reader, Section};
use crate::yaml::tree::Place;

/// The entries of `llm_balancer.accept`, and what they were good for.
#[derive(Default)]
pub struct Accepted {
    entries: Vec<Entry>,
    /// Paths that could be accepted and are not.
    refused: Vec<String>,
}

struct Entry {
    path: String,
    place: Place,
    used: bool,
}

/// An entry that accepts nothing.
pub struct Unused<'a> {
    /// As it is written.
    pub entry: &'a str,
    /// Its place in the list.
    pub index: usize,
    /// Where it stands.
    pub place: Place,
    /// A path that is refused and that it may mean.
    pub near: Option<&'a str>,
}

impl Accepted {
    /// Reads the list. It has to be read before all else, since all else is judged by it.
    pub fn read(reader: &mut Reader<'_>, section: Option<&Section<'_>>) -> Self {
        let entry = section.and_then(|section| Some((section, section.find("accept")?)));
        let Some((section, entry)) = entry else { return Self::default() };
        let paths = reader.strings(section, "accept").unwrap_or_default();
        let entries = paths.into_iter().map(|path| Entry { path, place: entry.place, used: false });
        Self { entries: entries.collect(), refused: Vec::new() }
    }

    /// Whether an entry names this path. Both are remembered.
    pub fn covers(&mut self, path: &Path<'_>) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let path = path.to_string();
        let mut covered = false;
        for entry in self.entries.iter_mut().filter(|entry| names(&entry.path, &path)) {
            entry.used = true;
            covered = true;
        }
        if !covered && self.refused.len() < MOST_SUGGESTED {
            self.refused.push(path);
        }
        covered
    }

    /// Entries that accept nothing.
    pub fn unused(&self) -> impl Iterator<Item = Unused<'_>> {
        let refused = || self.refused.iter().map(String::as_str);
        self.entries.iter().enumerate().filter(|(_, entry)| !entry.used).map(move |(index, entry)| {
            let near = Suggestions::default().name(&entry.path, refused());
            Unused { entry: &entry.path, index, place: entry.place, near }
        })
    }
}

/// Paths that are kept for suggestions, at most.
const MOST_SUGGESTED: usize = 100;

/// Whether an entry names a path: the whole path with its indices, or the same without any, for every item of a list.
pub fn names(entry: &str, path: &str) -> bool {
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
