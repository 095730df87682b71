//! The parameters of a chat under the provider's names, without those that it refuses.

use llm_balancer_config::Deployment;

use super::defaults::SPELLINGS;
use crate::http::route::ModelRoute;

/// The changes to the parameters of a chat for one model.
pub(super) struct ChatEdits<'a> {
    deployment: &'a Deployment,
    model: &'a str,
    is_chat: bool,
    /// The request asks for reasoning.
    reasons: bool,
    /// Names of the client, with those of the provider.
    renamed: Vec<(&'static str, &'static str)>,
}

impl<'a> ChatEdits<'a> {
    /// `effort` is the `reasoning_effort` that the provider gets.
    pub(super) fn new(
        route: ModelRoute,
        deployment: &'a Deployment,
        model: &'a str,
        effort: Option<&str>,
    ) -> Self {
        let reasons = effort.is_some_and(|effort| effort != "\"none\"");
        let is_chat = route.suffix == "/chat/completions";
        Self { deployment, model, is_chat, reasons, renamed: Vec::new() }
    }

    /// Sets what is renamed: what the client sets under the one name, and nothing sets under the
    /// other.
    pub(super) fn rename(&mut self, is_set: impl Fn(&str) -> bool) {
        if !self.is_chat {
            return;
        }
        for from in SPELLINGS.as_flattened() {
            if is_set(from)
                && let Some(to) = self.name_at_provider(from)
                && !is_set(to)
            {
                self.renamed.push((from, to));
            }
        }
    }

    /// Whether the provider refuses the parameter of this folded name, and the file says to drop it.
    pub(super) fn drops(&self, name: &str) -> bool {
        self.is_chat && self.deployment.chat_params.drops(self.model, name, self.reasons)
    }

    /// Whether the provider reads a member of the client under another name, or gets another member
    /// under this one.
    pub(super) fn is_replaced(&self, key: &str, folded_name: &str) -> bool {
        let is_renamed = self.renamed.iter().any(|(from, _)| *from == key);
        let is_taken = self.renamed.iter().any(|(_, to)| *to == folded_name);
        is_taken || (!is_renamed && self.name_at_provider(folded_name).is_some())
    }

    /// The name of a client's member at the provider, if it is another one.
    pub(super) fn new_name(&self, key: &str) -> Option<&'static str> {
        self.renamed.iter().find(|(from, _)| *from == key).map(|(_, to)| *to)
    }

    /// Whether the provider gets the role `developer` as `system`.
    pub(super) fn renames_developer(&self) -> bool {
        let Deployment { chat_params, endpoint, .. } = self.deployment;
        self.is_chat && !chat_params.knows_developer(&endpoint.host, self.model)
    }

    /// The name under which a parameter of the file is sent.
    pub(super) fn sent_name<'k>(&self, key: &'k str) -> &'k str {
        self.name_at_provider(key).unwrap_or(key)
    }

    /// The provider's name for a parameter, if it is another one.
    fn name_at_provider(&self, key: &str) -> Option<&'static str> {
        if self.is_chat { self.deployment.chat_params.other_name(self.model, key) } else { None }
    }
}
