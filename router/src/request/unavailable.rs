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
    /// Why its deployments may not serve, each reason once: as logs name it, and in words.
    pub limits: Vec<(&'static str, &'static str)>,
    /// `enable_pre_call_checks`, which LiteLLM prints.
    pub pre_call_checks: bool,
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
        let (are, colon) = match (self.all_cooling, self.limits.is_empty()) {
            (true, _) => ("in cooldown", ""),
            (false, true) => ("at their limits or in cooldown", ""),
            (false, false) => ("at their limits or in cooldown", ": "),
        };
        let limits: Vec<&str> = self.limits.iter().map(|(_, words)| *words).collect();
        let limits = if self.all_cooling { String::new() } else { limits.join(", ") };
        let ids: Vec<String> = self.cooling.iter().take(MOST_IDS).map(|id| format!("'{id}'")).collect();
        format!(
            "No deployments available for selected model, Try again in {} seconds. All deployments for selected model are {are}{colon}{limits}. Passed model={}. pre-call-checks={}, cooldown_list=[{}]",
            self.seconds(),
            shown(&self.model),
            if self.pre_call_checks { "True" } else { "False" },
            ids.join(", ")
        )
    }
}

/// Ids in a message at most.
const MOST_IDS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_setting_of_pre_call_checks() {
        for (pre_call_checks, word) in [(true, "True"), (false, "False")] {
            let (model, wait, cooling) = ("g".to_owned(), Duration::from_secs(7), vec![Arc::from("paris")]);
            let limits = Vec::new();
            let group = Unavailable { model, wait, all_cooling: true, limits, pre_call_checks, cooling };
            let message = group.message();
            let expected = format!("Passed model=g. pre-call-checks={word}, cooldown_list=['paris']");
            assert!(message.contains("Try again in 7 seconds.") && message.ends_with(&expected), "{message}");
        }
    }

    #[test]
    fn the_message_names_the_limits() {
        for (limits, words) in [
            (
                vec![("over_rpm", "rpm"), ("over_tpm", "tpm")],
                "at their limits or in cooldown: rpm, tpm. Passed model=g.",
            ),
            (vec![], "at their limits or in cooldown. Passed model=g."),
        ] {
            let (model, wait, cooling) = ("g".to_owned(), Duration::ZERO, Vec::new());
            let group =
                Unavailable { model, wait, all_cooling: false, limits, pre_call_checks: false, cooling };
            assert!(group.message().contains(words), "{}", group.message());
        }
    }
}
