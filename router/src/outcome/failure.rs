//! How an attempt failed, by the provider's status or by Envoy's response flags.

use std::time::Duration;

use crate::outcome::Outcome;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider answered with an error.
    Provider {
        /// 400 and above, or a redirect: a client that followed it would bypass this proxy.
        status: u16,
        /// The time until a retry is welcome.
        retry_after: Option<Duration>,
    },
    /// A time limit passed before the answer, or between two of its bytes.
    TimedOut,
    /// No connection: refused, TLS not accepted, no address, no healthy host, an open circuit
    /// breaker.
    NoConnection,
    /// The connection broke before the first byte of the answer's body.
    Broken,
}

/// Envoy's response flags, as in the attribute `response.flags` (envoy/stream_info/stream_info.h).
mod flag {
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    pub const UPSTREAM_REQUEST_TIMEOUT: u64 = 0x4;
    pub const LOCAL_RESET: u64 = 0x8;
    pub const UPSTREAM_REMOTE_RESET: u64 = 0x10;
    pub const UPSTREAM_CONNECTION_FAILURE: u64 = 0x20;
    pub const UPSTREAM_CONNECTION_TERMINATION: u64 = 0x40;
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    pub const STREAM_IDLE_TIMEOUT: u64 = 0x1_0000;
    pub const UPSTREAM_MAX_STREAM_DURATION: u64 = 0x8_0000;
    pub const UPSTREAM_PROTOCOL_ERROR: u64 = 0x80_0000;
    pub const NO_CLUSTER: u64 = 0x100_0000;
    pub const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 0x4000;
    pub const DOWNSTREAM_PROTOCOL_ERROR: u64 = 0x4_0000;
    /// A stream of HTTP/2 or HTTP/3, whose connection goes on.
    pub const DOWNSTREAM_REMOTE_RESET: u64 = 0x1000_0000;
    pub const CLIENT_DISCONNECTED: u64 =
        DOWNSTREAM_CONNECTION_TERMINATION | DOWNSTREAM_PROTOCOL_ERROR | DOWNSTREAM_REMOTE_RESET;

    pub const TIMED_OUT: u64 = UPSTREAM_REQUEST_TIMEOUT | STREAM_IDLE_TIMEOUT | UPSTREAM_MAX_STREAM_DURATION;
    pub const NO_CONNECTION: u64 =
        NO_HEALTHY_UPSTREAM | UPSTREAM_CONNECTION_FAILURE | UPSTREAM_OVERFLOW | NO_CLUSTER;
    pub const BROKEN: u64 =
        LOCAL_RESET | UPSTREAM_REMOTE_RESET | UPSTREAM_CONNECTION_TERMINATION | UPSTREAM_PROTOCOL_ERROR;
}

impl Failure {
    /// The failure in Envoy's response flags; `None` if the provider answered.
    pub fn from_response_flags(flags: u64) -> Option<Self> {
        match flags {
            _ if flags & flag::TIMED_OUT != 0 => Some(Self::TimedOut),
            _ if flags & flag::NO_CONNECTION != 0 => Some(Self::NoConnection),
            _ if flags & flag::BROKEN != 0 => Some(Self::Broken),
            _ => None,
        }
    }

    /// Whether the provider ended the connection or the stream.
    pub fn ended_by_provider(flags: u64) -> bool {
        flags & (flag::UPSTREAM_CONNECTION_TERMINATION | flag::UPSTREAM_REMOTE_RESET) != 0
    }

    /// Whether the client ended the connection or the stream, of a response that is incomplete. Envoy
    /// has no flag for a stream of HTTP/2 that is reset without an error (RFC 9113, NO_ERROR), as Node
    /// resets it, and an Envoy before 1.37. It has one for all that ends otherwise.
    pub fn client_disconnected(flags: u64) -> bool {
        flags & flag::CLIENT_DISCONNECTED != 0 || Self::from_response_flags(flags).is_none()
    }

    /// The provider's status, or the one that stands for a failure without an answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Provider { status, .. } => *status,
            Self::TimedOut => 408,
            Self::NoConnection | Self::Broken => 500,
        }
    }

    /// The outcome of an attempt that failed this way.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::Timeout,
            Self::NoConnection => Outcome::ConnectionError,
            Self::Broken => Outcome::Interrupted,
            Self::Provider { status, .. } => match status {
                429 => Outcome::RateLimited,
                408 | 504 => Outcome::Timeout,
                400..=499 => Outcome::ClientError,
                _ => Outcome::ServerError,
            },
        }
    }

    /// The provider's status, if it answered.
    pub fn provider_status(&self) -> Option<u16> {
        match self {
            Self::Provider { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The time until a retry is welcome, if the provider gave one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_flags_are_told_apart() {
        for (flags, expected) in [
            (0, None),
            (0x4, Some(Failure::TimedOut)),
            (0x1_0000, Some(Failure::TimedOut)),
            (0x8_0000, Some(Failure::TimedOut)),
            (0x2, Some(Failure::NoConnection)),
            (0x20, Some(Failure::NoConnection)),
            (0x80, Some(Failure::NoConnection)),
            (0x100_0000, Some(Failure::NoConnection)),
            (0x8, Some(Failure::Broken)),
            (0x10, Some(Failure::Broken)),
            (0x40, Some(Failure::Broken)),
            (0x80_0000, Some(Failure::Broken)),
            (0x4000, None),
            // Of several, the one that says most of the cause.
            (0x4 | 0x8, Some(Failure::TimedOut)),
            (0x20 | 0x40, Some(Failure::NoConnection)),
            (0x40 | 0x4000, Some(Failure::Broken)),
        ] {
            assert_eq!(Failure::from_response_flags(flags), expected, "{flags:#x}");
        }
    }

    #[test]
    fn the_provider_has_ended_what_it_closed_or_reset_itself() {
        for (flags, expected) in [
            (0, false),
            (0x40, true),
            (0x10, true),
            (0x10 | 0x4, true),
            // Envoy reset it, or the connection never was.
            (0x8, false),
            (0x20, false),
            (0x4000, false),
        ] {
            assert_eq!(Failure::ended_by_provider(flags), expected, "{flags:#x}");
        }
    }

    #[test]
    fn a_client_has_disconnected_if_its_own_connection_or_stream_ended() {
        for (flags, expected) in [
            (0, true),
            (0x4000, true),
            (0x4000 | 0x4, true),
            (0x4, false),
            (0x1000_0000, true),
            (0x4_0000, true),
            (0x40, false),
            (0x10, false),
        ] {
            assert_eq!(Failure::client_disconnected(flags), expected, "{flags:#x}");
        }
    }
}
