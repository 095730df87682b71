//! Which deployment made what requests refer to.

use crate::request::references::Reference;
use crate::state::deployment_states::DeploymentStates;
use crate::state::origins;
use crate::state::store::Store;

impl DeploymentStates {
    /// The deployment that has made it, if this instance knows.
    pub fn origin(&self, reference: Reference, store: &dyn Store) -> Option<usize> {
        let hash = origins::find(store, reference)?;
        self.entries.iter().position(|entry| entry.id_hash == hash)
    }

    /// Remembers that this deployment has made it; for the other instances too, if `is_news`.
    pub fn remember_origin(&mut self, reference: Reference, index: usize, store: &dyn Store, is_news: bool) {
        let Some(entry) = self.entries.get(index) else { return };
        origins::remember(store, reference, entry.id_hash);
        if is_news && self.membership.is_shared {
            self.new_origins.push((reference, Some(index)));
        }
    }

    /// Forgets what was deleted.
    pub fn forget_origin(&mut self, reference: Reference, store: &dyn Store) {
        origins::forget(store, reference);
        if self.membership.is_shared {
            self.new_origins.push((reference, None));
        }
    }

    /// What became known since this was last called, each with its deployment; `None` for what was
    /// deleted.
    pub fn take_new_origins(&mut self) -> Vec<(Reference, Option<usize>)> {
        std::mem::take(&mut self.new_origins)
    }
}
