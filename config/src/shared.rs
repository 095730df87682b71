//! One configuration for several owners.

use std::sync::{Arc, Weak};

use crate::config::Config;

/// The configurations that are in use, by the fingerprint of their file: the filter on the edge and
/// the one behind it have the same. Keeps none that no owner has.
#[derive(Debug, Default)]
pub struct SharedConfigs(Vec<(u64, Weak<Config>)>);

impl SharedConfigs {
    /// Without a configuration.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The configuration of a file; `read` reads the file if no owner has it.
    pub fn get(&mut self, fingerprint: u64, read: impl FnOnce() -> Option<Config>) -> Option<Arc<Config>> {
        self.0.retain(|(_, config)| config.strong_count() > 0);
        let known = self.0.iter().find(|(other, _)| *other == fingerprint);
        if let Some(config) = known.and_then(|(_, config)| config.upgrade()) {
            return Some(config);
        }
        let config = Arc::new(read()?);
        self.0.push((fingerprint, Arc::downgrade(&config)));
        Some(config)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::read::read;

    fn config(group: &str) -> Option<Config> {
        let text =
            format!("model_list: [{{model_name: {group}, litellm_params: {{model: openai/m, api_key: k}}}}]");
        read("config.yaml", &text, &|_| None).config
    }

    #[test]
    fn a_file_is_read_once_while_an_owner_has_its_configuration() {
        let (mut shared, reads) = (SharedConfigs::new(), Cell::new(0));
        let mut get = |fingerprint: u64, group: &str| {
            let read = || {
                reads.set(reads.get() + 1);
                config(group)
            };
            shared.get(fingerprint, read)
        };
        let (edge, behind) = (get(1, "old"), get(1, "old"));
        assert!(Arc::ptr_eq(edge.as_ref().unwrap(), behind.as_ref().unwrap()));
        let new = get(2, "new");
        assert_eq!((reads.get(), &*new.unwrap().deployments[0].group), (2, "new"));
        drop(edge);
        get(1, "old");
        assert_eq!(reads.get(), 2, "one owner is left");
        drop(behind);
        get(1, "old");
        assert_eq!(reads.get(), 3);
    }

    #[test]
    fn what_has_no_owner_is_not_kept() {
        let mut shared = SharedConfigs::new();
        for fingerprint in 0..10 {
            assert!(shared.get(fingerprint, || config("g")).is_some());
        }
        assert_eq!(shared.0.len(), 1);
        assert!(shared.get(10, || None).is_none());
        assert!(shared.0.is_empty());
    }
}
