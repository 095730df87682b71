//! Whether a deployment may serve a request, and if not, why.

use std::time::Duration;

use crate::request::token_estimate::TokenEstimate;
use crate::state::limits::DeploymentLimits;
use crate::state::quota::{Quota, QuotaMode};
use crate::state::record::Record;
use crate::state::window::Window;

/// A request for admission at a deployment.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRequest {
    /// The tokens that it is expected to take.
    pub estimate: TokenEstimate,
    /// No deployment is large enough for it, so it may take a whole minute of one.
    pub is_oversized: bool,
    /// The client named this deployment, so that a cooldown does not matter (BEHAVIOUR 2.1).
    pub by_id: bool,
    /// No limit counts it.
    pub is_uncounted: bool,
    /// It is sent to measure how fast the deployment is.
    pub probe: bool,
    /// How limits are shared with other instances.
    pub quota_mode: QuotaMode,
}

/// Why a deployment may not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// It is cooling down until then, since the Unix epoch.
    CoolingDown(Duration),
    /// Its requests of this minute are used up until then.
    OverRpm(Duration),
    /// Too few of its tokens of this minute remain for the request, until then; `None` where there would
    /// be enough if requests in flight used none.
    OverTpm(Option<Duration>),
    /// The request needs more tokens than its tpm, and not more than that of another deployment.
    TooSmall,
    /// The instances together have used up this minute, by what Redis has replied; or Redis is
    /// down, and this instance has used its share. Until then, as above.
    OverShare(Option<Duration>),
    /// This instance has used up its lease, and Redis may grant more.
    Unleased,
    /// It has max_parallel_requests in flight.
    Busy,
    /// Too many workers wrote to its record at the same time.
    Contended,
}

impl Excluded {
    /// When it ends, since the Unix epoch; `None` where that may be at any moment, or never.
    pub fn until(self) -> Option<Duration> {
        match self {
            Self::CoolingDown(until) | Self::OverRpm(until) => Some(until),
            Self::OverTpm(until) | Self::OverShare(until) => until,
            Self::TooSmall | Self::Unleased | Self::Busy | Self::Contended => None,
        }
    }

    /// As metrics and explanations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoolingDown(_) => "cooling_down",
            Self::OverRpm(_) => "over_rpm",
            Self::OverTpm(_) => "over_tpm",
            Self::TooSmall => "tpm_too_small",
            Self::OverShare(_) => "over_shared_limit",
            Self::Unleased => "needs_lease",
            Self::Busy => "over_max_parallel_requests",
            Self::Contended => "contended",
        }
    }

    /// As the message for the client names it, in the words of the file.
    pub fn limit(self) -> &'static str {
        match self {
            Self::CoolingDown(_) => "cooldown",
            Self::OverRpm(_) => "rpm",
            Self::OverTpm(_) => "tpm",
            Self::TooSmall => "the request is larger than a tpm",
            Self::OverShare(_) | Self::Unleased => "rpm or tpm of all instances",
            Self::Busy => "max_parallel_requests",
            Self::Contended => "contention",
        }
    }

    /// Whether it may end before its time, because a request of another worker ended, used fewer
    /// tokens than it reserved, or made answers shorter. Then a copy of the record may be stale;
    /// for any other reason a copy serves as well as the record.
    pub fn may_end_early(self) -> bool {
        !matches!(self, Self::CoolingDown(_) | Self::OverRpm(_))
    }
}

/// Why the deployment with this record may not serve the request, or `None` if it may. Of several
/// reasons the one that ends last: a client that retries earlier would be refused again. `tokens`
/// are those that the request reserves there.
pub fn excluded(
    record: &Record,
    limits: &DeploymentLimits,
    request: &AdmissionRequest,
    tokens: u64,
    now: Duration,
) -> Option<Excluded> {
    let cooldown = record.cooldown.active_until(now).filter(|_| !request.by_id).map(Excluded::CoolingDown);
    if request.is_uncounted {
        return cooldown;
    }
    let last = match (cooldown, over_limit(record, limits, request, tokens, now)) {
        (Some(cooldown), Some(over)) if cooldown.until() < over.until() => Some(over),
        (cooldown, over) => cooldown.or(over),
    };
    let is_busy = || limits.max_parallel_requests.is_some_and(|most| record.in_flight() >= most);
    last.or_else(|| is_busy().then_some(Excluded::Busy))
}

/// The limit of the minute that the request would exceed.
fn over_limit(
    record: &Record,
    limits: &DeploymentLimits,
    request: &AdmissionRequest,
    tokens: u64,
    now: Duration,
) -> Option<Excluded> {
    if !limits.are_per_minute() {
        return None;
    }
    let window = record.window.at(now);
    if limits.tpm.is_some_and(|tpm| tokens > tpm) {
        return Some(Excluded::TooSmall);
    }
    if limits.rpm.is_some_and(|rpm| u64::from(window.requests) >= rpm) {
        return Some(Excluded::OverRpm(window.ends()));
    }
    let is_over = |window: &Window| limits.tpm.is_some_and(|tpm| window.tokens.saturating_add(tokens) > tpm);
    let settled = window.settled();
    if is_over(&window) {
        return Some(Excluded::OverTpm(is_over(&settled).then(|| window.ends())));
    }
    let quota = |window| record.lease.quota(window, limits.per_minute(), tokens, request.quota_mode, now);
    match quota(&window) {
        Quota::Available => None,
        Quota::NeedsLease => Some(Excluded::Unleased),
        Quota::Exhausted => {
            Some(Excluded::OverShare((quota(&settled) == Quota::Exhausted).then(|| window.ends())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::quota::RedisHealth;
    use crate::state::time::Minute;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    const SECOND: Duration = Duration::from_secs(1);

    fn request(by_id: bool) -> AdmissionRequest {
        AdmissionRequest {
            estimate: TokenEstimate::default(),
            is_oversized: false,
            by_id,
            is_uncounted: false,
            probe: false,
            quota_mode: QuotaMode::Local,
        }
    }

    #[test]
    fn a_deployment_without_room_is_excluded_for_that() {
        let limits = DeploymentLimits {
            rpm: Some(3),
            tpm: Some(1000),
            max_parallel_requests: Some(2),
            track_usage: false,
        };
        let request = request(false);
        let window = |requests, tokens| Record {
            window: Window { minute: Minute(29_000_000), requests, tokens, reserved: 0 },
            ..Record::default()
        };
        let in_flight = |tokens, reserved| {
            let mut record = window(0, tokens);
            record.window.reserved = reserved;
            record
        };
        let end = NOON + 60 * SECOND;
        for (record, expected) in [
            (window(2, 900), None),
            (window(3, 0), Some(Excluded::OverRpm(end))),
            (window(0, 901), Some(Excluded::OverTpm(Some(end)))),
            (in_flight(1000, 99), Some(Excluded::OverTpm(Some(end)))),
            (in_flight(1000, 100), Some(Excluded::OverTpm(None))),
            (in_flight(900, 100), None),
        ] {
            assert_eq!(excluded(&record, &limits, &request, 100, NOON), expected, "{record:?}");
            assert_eq!(excluded(&record, &limits, &request, 100, end), None, "a minute later: {record:?}");
        }
        let mut busy = Record::default();
        busy.inc_in_flight(1);
        busy.inc_in_flight(2);
        assert_eq!(excluded(&busy, &limits, &request, 100, NOON), Some(Excluded::Busy));
    }

    #[test]
    fn what_requests_in_flight_reserve_of_a_share_may_be_free_at_any_moment() {
        let limits = DeploymentLimits { tpm: Some(1000), ..DeploymentLimits::default() };
        // Half of the limit, and Redis does not answer.
        let quota_mode = QuotaMode::Shared { instances: 2, share: 500_000, health: RedisHealth::Down };
        let request = AdmissionRequest { quota_mode, ..request(false) };
        for (tokens, reserved, expected) in [
            (400, 400, None),
            (401, 1, Some(Excluded::OverShare(None))),
            (402, 1, Some(Excluded::OverShare(Some(NOON + 60 * SECOND)))),
        ] {
            let window = Window { minute: Minute(29_000_000), requests: 1, tokens, reserved };
            let record = Record { window, ..Record::default() };
            assert_eq!(excluded(&record, &limits, &request, 100, NOON), expected, "{window:?}");
        }
    }

    #[test]
    fn a_deployment_that_is_too_small_is_excluded_whatever_remains_of_its_minute() {
        let limits = DeploymentLimits { rpm: Some(1), tpm: Some(1000), ..DeploymentLimits::default() };
        let request = request(false);
        let full = Record {
            window: Window { minute: Minute(29_000_000), requests: 1, tokens: 900, reserved: 0 },
            ..Record::default()
        };
        for record in [Record::default(), full] {
            assert_eq!(
                excluded(&record, &limits, &request, 1001, NOON),
                Some(Excluded::TooSmall),
                "{record:?}"
            );
        }
    }

    #[test]
    fn a_cooldown_does_not_matter_to_a_client_that_names_the_deployment() {
        let mut record = Record::default();
        record.cooldown.extend(5 * SECOND, NOON);
        let cooling = Some(Excluded::CoolingDown(NOON + 5 * SECOND));
        assert_eq!(excluded(&record, &DeploymentLimits::default(), &request(false), 0, NOON), cooling);
        assert_eq!(excluded(&record, &DeploymentLimits::default(), &request(true), 0, NOON), None);
    }

    #[test]
    fn of_a_cooldown_and_a_full_minute_the_later_end_counts() {
        let limits = DeploymentLimits { rpm: Some(1), ..DeploymentLimits::default() };
        let mut record = Record {
            window: Window { minute: Minute(29_000_000), requests: 1, ..Window::default() },
            ..Record::default()
        };
        let request = request(false);
        record.cooldown.extend(5 * SECOND, NOON);
        let end = NOON + 60 * SECOND;
        assert_eq!(excluded(&record, &limits, &request, 0, NOON), Some(Excluded::OverRpm(end)));
        record.cooldown.extend(90 * SECOND, NOON);
        let cooled = NOON + 90 * SECOND;
        assert_eq!(excluded(&record, &limits, &request, 0, NOON), Some(Excluded::CoolingDown(cooled)));
    }
}
