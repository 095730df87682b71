//! Times as records and other shared values hold them: counted from the Unix epoch, in UTC.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

/// Seconds since the Unix epoch, until the year 2106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixSeconds(pub u32);

/// Minutes since the Unix epoch: the clock minute that rpm and tpm hold for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Minute(pub u32);

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl UnixMillis {
    /// The time `now`.
    pub fn of(now: Duration) -> Self {
        Self(millis(now))
    }

    /// Its minute.
    pub fn minute(self) -> Minute {
        Minute::of(Duration::from_millis(self.0))
    }

    /// How far away it is from `now`, before or after it.
    pub fn distance(self, now: Duration) -> Duration {
        Duration::from_millis(self.0.abs_diff(millis(now)))
    }
}

impl UnixSeconds {
    /// The time `now`.
    pub fn of(now: Duration) -> Self {
        Self(u32::try_from(now.as_secs()).unwrap_or(u32::MAX))
    }

    /// How far away it is from `now`, before or after it, in whole seconds.
    pub fn distance(self, now: Duration) -> Duration {
        Duration::from_secs(u64::from(self.0.abs_diff(Self::of(now).0)))
    }

    /// Seconds from it until `now`; 0 where it is later.
    pub fn age(self, now: Duration) -> u32 {
        Self::of(now).0.saturating_sub(self.0)
    }
}

impl Minute {
    /// The minute of the time `now`.
    pub fn of(now: Duration) -> Self {
        Self(u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX))
    }

    /// Seconds since the Unix epoch at its beginning.
    pub fn starts(self) -> u64 {
        u64::from(self.0).saturating_mul(60)
    }

    /// When the next minute begins, since the Unix epoch.
    pub fn ends(self) -> Duration {
        Duration::from_secs(self.starts().saturating_add(60))
    }
}
