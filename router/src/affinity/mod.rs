//! Which deployment a request should go to again: the one that has its session or its prompt in
//! memory. docs/affinity.md has the reasons.
//!
//! No choice is remembered. Every worker, instance and configuration ranks the deployments of a key
//! alike, and only the keys of a deployment that is away move. Before that order comes the deployment
//! at a point in the partition, which each instance makes by what it counts.
//!
//! - [`key`]: what a request has in common with others, by its group's settings.
//! - [`session`]: the session and the caller of a request.
//! - [`prompt`]: how a prompt begins.
//! - [`popularity`]: which part of the deployments serves a system prompt.
//! - [`partition`]: the parts of a group's system prompts, which the workers count together.
//! - [`rendezvous`]: the order of all deployments for a key.
//! - [`load`]: how much of the load one deployment may have.

pub(crate) mod key;
pub(crate) mod load;
mod partition;
pub(crate) mod popularity;
mod prompt;
pub(crate) mod rendezvous;
mod session;

/// The deployment that should serve a request. Cooldown, limits, tags, order and earlier attempts go
/// before it: a deployment that may not serve is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Preference {
    /// None: the strategy decides.
    #[default]
    None,
    /// This one, by its index in the configuration. If it may not serve, the strategy decides.
    Pinned(usize),
    /// The first in the order of this key that may serve.
    Ranked(AffinityKey),
}

/// What requests have in common that should go to the same deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AffinityKey {
    /// A hash, the same in all workers and instances.
    pub hash: u64,
    /// The deployment before all others, whatever the hash says.
    pub first: Option<usize>,
    /// Whether deployments above their share of the load are passed over.
    pub is_bounded: bool,
}

/// What became of a preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityResult {
    /// The preferred deployment serves the request.
    Hit,
    /// Another one does, and why.
    Moved(&'static str),
    /// The request has no preference, or one for a deployment that its group does not have.
    Miss,
}

impl AffinityResult {
    /// As metrics and explanations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Moved(_) => "moved",
            Self::Miss => "miss",
        }
    }

    /// Why the preferred deployment was passed over, as metrics and explanations name it.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Moved(reason) => Some(reason),
            Self::Hit | Self::Miss => None,
        }
    }
}
