//! A group that no deployment can serve now.

use std::sync::Arc;
use std::time::Duration;

use crate::http::retry_after::whole_seconds;
use crate::request::refusal::shown;

/// A group without a deployment that may serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The group, as the client named it.
    pub model: String,
    /// Time until the first of its deployments may serve again, as far as that is known.
    pub wait: Duration,
    /// Whether all of them cool down; otherwise some are at a limit.
    pub all_cooling: bool,
    /// The ids of those that cool down.
    pub cooling: Vec<Arc<str>>,
}

impl Unavailable {
    /// Whole seconds until a retry may succeed; at least 1.
    pub(super) fn seconds(&self) -> u64 {
        whole_seconds(self.wait).max(1)
    }

    /// LiteLLM's words (BEHAVIOUR 5.5), with the remaining time and the ids of this group alone.
    pub(super) fn message(&self) -> String {
        let reason = match self.all_cooling {
            true => "All deployments for selected model are in cooldown.",
            false => "All deployments for selected model are at their limits or in cooldown.",
        };
        let ids: Vec<String> = self.cooling.iter().take(MOST_IDS).map(|id| format!("'{id}'")).collect();
        format!(
            "No deployments available for selected model, Try again in {} seconds. {reason} Passed model={}. pre-call-checks=False, cooldown_list=[{}]",
            self.seconds(),
            shown(&self.model),
            ids.join(", ")
        )
    }
}

/// Ids in a message at most.
const MOST_IDS: usize = 20;
