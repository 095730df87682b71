//! A failed attempt with its class, in the words of LiteLLM's policies, of metrics and of clients.

use std::time::Duration;

use super::{Class, RetryScope};
use crate::outcome::{Failure, Kind, Outcome};

/// A failed attempt, and whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was seen.
    pub failure: Failure,
    /// What it means.
    pub class: Class,
}

impl Fault {
    /// Where the request may go next (BEHAVIOUR 5.2).
    pub fn retry_scope(&self) -> RetryScope {
        self.class.retry_scope()
    }

    /// The name under which LiteLLM's policies know it (BEHAVIOUR 5.2): its exceptions follow the status, except where it
    /// reads the body, too.
    pub fn kind(&self) -> Kind {
        match (self.class, self.failure) {
            (Class::ContentPolicy, _) => Kind::ContentPolicy,
            (Class::ContextWindow, _) => Kind::BadRequest,
            (Class::Limit, _) => Kind::RateLimit,
            (_, Failure::TimedOut) => Kind::Timeout,
            (_, Failure::NoConnection | Failure::Broken) => Kind::InternalServer,
            (_, Failure::Provider { status, .. }) => Kind::of_status(status),
        }
    }

    /// The same in the words of metrics and logs, which describe the answer and not its cause.
    pub fn outcome(&self) -> Outcome {
        self.failure.outcome()
    }

    /// The status that stands for it.
    pub fn status(&self) -> u16 {
        self.failure.status()
    }

    /// How long the provider asks us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure.retry_after()
    }

    /// Whether the provider asks for time: a limit, or any answer that says how long.
    pub fn asks_for_time(&self) -> bool {
        self.class == Class::Limit || self.retry_after().is_some_and(|time| !time.is_zero())
    }
}
