//! How many connections of clients Envoy takes, by the limit of file descriptors.

use nix::sys::resource::{Resource, getrlimit};

use crate::render::Options;
use crate::support::colors::YELLOW;
use crate::support::messages::message;

/// For listeners, workers, Redis and idle connections to providers.
const RESERVE: u64 = 256;
/// Fewer serve nothing: the limit is an error of the system's settings then.
const FEWEST: u64 = 64;

/// By the hard limit, to which the soft one is raised.
pub(crate) fn at_most() -> u32 {
    within(descriptors())
}

/// Prints a warning where descriptors are too few for the connections that it takes. Returns whether
/// it did.
pub(crate) fn warn() -> bool {
    let warning = warning(descriptors());
    if let Some(warning) = &warning {
        message!("llm-balancer: {YELLOW}warning{YELLOW:#}: {warning}");
    }
    warning.is_some()
}

fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard)
}

fn warning(descriptors: u64) -> Option<String> {
    let needed = RESERVE.saturating_add(FEWEST.saturating_mul(2));
    (descriptors < needed).then(|| {
        format!(
            "{descriptors} file descriptors are too few for {FEWEST} connections of clients, and requests and reloads may fail; raise the hard limit (ulimit -n) to {needed} or more"
        )
    })
}

/// A client's connection takes a descriptor, and its request one more for the provider: with HTTP/1,
/// since a connection of HTTP/2 may have a hundred requests. Where idle clients could take them all, no
/// request would reach a provider.
fn within(descriptors: u64) -> u32 {
    let half = descriptors.saturating_sub(RESERVE) / 2;
    u32::try_from(half.max(FEWEST))
        .map_or(Options::MAX_CONNECTIONS, |half| half.min(Options::MAX_CONNECTIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_too_low_for_the_fewest_connections_is_a_warning() {
        assert_eq!((warning(384), warning(u64::MAX)), (None, None));
        let text = warning(383).unwrap();
        assert!(text.starts_with("383 file descriptors") && text.ends_with("to 384 or more"), "{text}");
        assert_eq!(within(384), 64);
    }

    #[test]
    fn clients_leave_a_descriptor_for_each_of_their_requests() {
        for (descriptors, connections) in
            [(1_024, 384), (4_096, 1_920), (100, 64), (0, 64), (1_048_576, 100_000), (u64::MAX, 100_000)]
        {
            assert_eq!(within(descriptors), connections, "{descriptors}");
        }
    }
}
