//! Names of models that lead to no deployment.

use crate::request::refusal::shown;

/// Why a model's name leads to no deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing has that name, and there is no wildcard.
    Unknown,
    /// There are wildcards, and none matches, or the name is an alias of one that does not exist.
    NoMatch,
    /// The wildcard that matches serves the models of another provider alone.
    OtherProvider,
    /// A pattern, the id of a wildcard's deployment, or a name that leaves one of its stars open:
    /// no provider has a model with a star in its name.
    Pattern,
    /// Every deployment behind the name was left out of the configuration, because it cannot be
    /// served.
    Skipped,
}

impl Unresolved {
    /// The message for a client that asked for a model, if it did, by this route.
    pub(super) fn message(self, model: Option<&str>, route: &str) -> String {
        let model = shown(model.unwrap_or("None"));
        match self {
            Self::Unknown | Self::Skipped => format!(
                "{route}: Invalid model name passed in model={model}. Call `/v1/models` to view available models for your key."
            ),
            Self::NoMatch => {
                format!("You passed in model={model}. There are no healthy deployments for this model")
            }
            Self::OtherProvider => format!(
                "{route}: No deployment serves the provider of model={model}. Add one to the file, such as `model: anthropic/*` for Anthropic."
            ),
            Self::Pattern => format!(
                "{route}: model={model} is a wildcard pattern. Request one of the models that it matches."
            ),
        }
    }
}
