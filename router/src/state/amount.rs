//! Requests and tokens: what a minute has room for, and what an instance holds, uses or needs of it.

use serde::{Deserialize, Serialize};

/// A number of requests, and one of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Amount {
    /// The sum with another one.
    pub fn saturating_add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left without another one.
    pub fn saturating_sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The greater number of requests, and of tokens.
    pub fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// Both numbers changed alike.
    pub fn map(self, change: impl Fn(u64) -> u64) -> Self {
        Self { requests: change(self.requests), tokens: change(self.tokens) }
    }

    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self { requests: combine(self.requests, other.requests), tokens: combine(self.tokens, other.tokens) }
    }
}
