//! What a filter is for, which the renderer says by its root id.

use llm_balancer_config::names;

/// What a filter is for.
pub(crate) enum Role {
    /// On the edge, whose responses go straight to the client: the first attempt of a request. The
    /// cluster leads later ones to the internal listener.
    Edge { later_attempts: String },
    /// Behind the internal listener: later attempts, or all where the edge has no filter.
    Internal,
    /// The same, in the last configuration of an instance, which it removes from the fleet.
    Deregister,
    /// On a listener without our edge: each request once.
    SingleHop,
}

impl Role {
    /// By a root id; with the number of the configuration, where its renderer counts them. The id
    /// ends in it: Envoy would reuse the root context of a configuration that returns.
    pub(crate) fn parse(root_id: &str) -> (Self, Option<u32>) {
        let (role, numbered) = match root_id.strip_prefix(names::EDGE) {
            Some(cluster) => {
                (Self::Edge { later_attempts: cluster.to_owned() }, cluster.strip_prefix(names::ATTEMPTS))
            }
            None if root_id == names::SINGLE_HOP => (Self::SingleHop, None),
            None if root_id == names::DEREGISTER => (Self::Deregister, None),
            None => (Self::Internal, root_id.strip_prefix(names::FILTER)),
        };
        (role, numbered.and_then(|rest| rest.strip_prefix('-')?.parse().ok()))
    }

    pub(crate) fn is_edge(&self) -> bool {
        matches!(self, Self::Edge { .. })
    }

    /// Whether the edge sends a request here, and may send it again.
    pub(crate) fn is_behind_the_edge(&self) -> bool {
        matches!(self, Self::Internal | Self::Deregister)
    }

    /// The cluster for later attempts, on the edge.
    pub(crate) fn later_attempts(&self) -> Option<&str> {
        match self {
            Self::Edge { later_attempts } => Some(later_attempts),
            _ => None,
        }
    }
}
