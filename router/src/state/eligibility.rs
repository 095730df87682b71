//! Who may serve a request, and why the others may not.

use std::time::Duration;

use crate::state::lease::Quota;
use crate::state::limits::{AdmissionRequest, DeploymentLimits};
use crate::state::record::Record;

/// Why a deployment does not get a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// It sits out until then, since the Unix epoch.
    CoolingDown(Duration),
    /// It has had its requests of this minute, which ends then.
    OverRpm(Duration),
    /// It has had its tokens of this minute, or too few are left for this request.
    OverTpm(Duration),
    /// The request would not fit into a whole minute, and would into that of a sibling.
    TooSmall,
    /// The whole fleet has had what the minute has, as far as Redis says; or Redis does not answer, and this instance has had
    /// its share.
    OverShare(Duration),
    /// This instance has used up its lease: Redis has to be asked.
    Unleased,
    /// All of its slots (max_parallel_requests) are taken.
    Busy,
    /// So many workers wrote at once that none of our tries counted.
    Contended,
}

impl Excluded {
    /// When to look again, since the Unix epoch; `None` where that may be any moment, or never.
    pub fn until(self) -> Option<Duration> {
        match self {
            Self::CoolingDown(until)
            | Self::OverRpm(until)
            | Self::OverTpm(until)
            | Self::OverShare(until) => Some(until),
            Self::TooSmall | Self::Unleased | Self::Busy | Self::Contended => None,
        }
    }

    /// Whether it may end before its time, because a request of another worker ended, or cost less than expected, or answers
    /// became shorter. A copy that says so may be out of date; what a copy says about anything else stays true until its
    /// time is over.
    pub fn may_end_early(self) -> bool {
        matches!(
            self,
            Self::OverTpm(_)
                | Self::TooSmall
                | Self::OverShare(_)
                | Self::Unleased
                | Self::Busy
                | Self::Contended
        )
    }
}

/// Whether a deployment with this record may not serve; of several reasons the one that stands longest, so that nobody is
/// told to come back when the others still stand.
pub fn excluded(
    record: &Record,
    terms: &DeploymentLimits,
    demand: &AdmissionRequest,
    now: Duration,
) -> Option<Excluded> {
    let cooling = record.cooldown.at(now).filter(|_| !demand.by_id).map(Excluded::CoolingDown);
    let longest = match (cooling, full(record, terms, demand, now)) {
        (Some(cooling), Some(full)) if cooling.until() < full.until() => Some(full),
        (cooling, full) => cooling.or(full),
    };
    let is_busy = || terms.parallel.is_some_and(|slots| record.in_flight() >= slots);
    longest.or_else(|| is_busy().then_some(Excluded::Busy))
}

/// Whether it has had all that its minute has for it.
fn full(
    record: &Record,
    terms: &DeploymentLimits,
    demand: &AdmissionRequest,
    now: Duration,
) -> Option<Excluded> {
    if terms.rpm.is_none() && terms.tpm.is_none() {
        return None;
    }
    let window = record.window.at(now);
    if terms.tpm.is_some_and(|tpm| demand.tokens > tpm) {
        return Some(Excluded::TooSmall);
    }
    if terms.rpm.is_some_and(|rpm| u64::from(window.requests) >= rpm) {
        return Some(Excluded::OverRpm(window.ends()));
    }
    if terms.tpm.is_some_and(|tpm| window.tokens.saturating_add(demand.tokens) > tpm) {
        return Some(Excluded::OverTpm(window.ends()));
    }
    match record.lease.room(&window, terms.limits(), demand.tokens, demand.quota_mode, now) {
        Quota::Enough => None,
        Quota::Ask => Some(Excluded::Unleased),
        Quota::None => Some(Excluded::OverShare(window.ends())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::token_estimate::TokenEstimate;
    use crate::state::lease::QuotaMode;
    use crate::state::window::Window;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    const SECOND: Duration = Duration::from_secs(1);

    fn demand(tokens: u64, by_id: bool) -> AdmissionRequest {
        AdmissionRequest {
            index: 0,
            tokens,
            estimate: TokenEstimate::default(),
            is_oversized: false,
            by_id,
            probe: false,
            quota_mode: QuotaMode::Local,
        }
    }

    #[test]
    fn a_deployment_is_left_out_for_what_it_has_no_room_for() {
        let terms = DeploymentLimits { rpm: Some(3), tpm: Some(1000), parallel: Some(2), counted: false };
        let demand = demand(100, false);
        let window = |requests, tokens| Record {
            window: Window { minute: 29_000_000, requests, tokens },
            ..Record::default()
        };
        let end = NOON + 60 * SECOND;
        for (record, expected) in [
            (window(2, 900), None),
            (window(3, 0), Some(Excluded::OverRpm(end))),
            (window(0, 901), Some(Excluded::OverTpm(end))),
        ] {
            assert_eq!(excluded(&record, &terms, &demand, NOON), expected, "{record:?}");
            assert_eq!(excluded(&record, &terms, &demand, end), None, "a minute later: {record:?}");
        }
        let mut busy = Record::default();
        busy.inc_in_flight(1);
        busy.inc_in_flight(2);
        assert_eq!(excluded(&busy, &terms, &demand, NOON), Some(Excluded::Busy));
    }

    #[test]
    fn a_deployment_that_is_too_small_is_left_out_whatever_its_minute_has() {
        let terms = DeploymentLimits { rpm: Some(1), tpm: Some(1000), ..DeploymentLimits::default() };
        let demand = demand(1001, false);
        let full =
            Record { window: Window { minute: 29_000_000, requests: 1, tokens: 900 }, ..Record::default() };
        for record in [Record::default(), full] {
            assert_eq!(excluded(&record, &terms, &demand, NOON), Some(Excluded::TooSmall), "{record:?}");
        }
    }

    #[test]
    fn a_cooldown_does_not_stop_who_names_the_deployment() {
        let mut record = Record::default();
        record.cooldown.extend(5 * SECOND, NOON);
        let asked = |direct| demand(0, direct);
        let cooling = Some(Excluded::CoolingDown(NOON + 5 * SECOND));
        assert_eq!(excluded(&record, &DeploymentLimits::default(), &asked(false), NOON), cooling);
        assert_eq!(excluded(&record, &DeploymentLimits::default(), &asked(true), NOON), None);
    }

    #[test]
    fn of_a_cooldown_and_a_full_minute_the_later_end_counts() {
        let terms = DeploymentLimits { rpm: Some(1), ..DeploymentLimits::default() };
        let mut record =
            Record { window: Window { minute: 29_000_000, requests: 1, tokens: 0 }, ..Record::default() };
        let demand = demand(0, false);
        record.cooldown.extend(5 * SECOND, NOON);
        let end = NOON + 60 * SECOND;
        assert_eq!(excluded(&record, &terms, &demand, NOON), Some(Excluded::OverRpm(end)));
        record.cooldown.extend(90 * SECOND, NOON);
        let cooled = NOON + 90 * SECOND;
        assert_eq!(excluded(&record, &terms, &demand, NOON), Some(Excluded::CoolingDown(cooled)));
    }
}
