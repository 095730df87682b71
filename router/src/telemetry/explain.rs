//! `x-llm-balancer-explain`: who could have served a request, who did, and why the others could not.
//!
//! Only for whoever holds the master key, and nobody where there is none: it tells about deployments and what they have left.

use llm_balancer_config::Config;

use crate::attempt::RetryState;
use crate::http::headers::Headers;
use crate::http::json::quoted;
use crate::router::Router;
use crate::select::eligible::{exclusion, tagged};
use crate::select::{NoDeployment, SelectionContext, SelectionRequest};
use crate::state::eligibility::Excluded;
use crate::state::record::milliseconds;
use crate::state::snapshot::Instant;
use crate::state::store::Moment;
use crate::telemetry::access_log::SelectionInfo;

/// Header of the request that asks, and of the answer that tells.
pub const HEADER: &str = "x-llm-balancer-explain";
/// Candidates that are told about: all headers of an answer may have 60 KiB.
const MOST: usize = 100;

/// Whether the request may know. That it has the master key was looked at before.
pub fn is_asked_for(config: &Config, headers: &Headers) -> bool {
    config.server.master_key.is_some()
        && headers.get(HEADER).is_some_and(|value| matches!(value, "1" | "true" | "True"))
}

/// SelectionInfo a candidate could not serve, and for how long that stands, in milliseconds.
type Exclusion = Option<(&'static str, Option<u64>)>;

impl Router {
    /// SelectionInfo the search came to this end, as one JSON object in ASCII.
    pub(crate) fn explain(
        &self,
        request: &SelectionRequest<'_>,
        group: &str,
        picked: Result<usize, &NoDeployment>,
        why: SelectionInfo,
        moment: &Moment<'_>,
    ) -> String {
        let mut context = self.selection();
        let request = request.updated(&mut context, moment);
        let members = request.pool.members.iter().copied();
        let all: Vec<(usize, Exclusion)> =
            members.map(|index| (index, verdict_on(&mut context, index, &request, picked, moment))).collect();
        // The candidates are read anew, so they know better than the choice did.
        let why =
            SelectionInfo { eligible: Some(all.iter().filter(|(_, why)| why.is_none()).count()), ..why };
        let told = all.iter().take(MOST).map(|(index, why)| self.candidate(*index, *why));
        let candidates: Vec<String> = told.collect();
        let attempts: Vec<String> =
            request.retry_state.attempts.iter().map(crate::telemetry::access_log::AttemptLog::json).collect();
        let more = all.len().saturating_sub(candidates.len());
        let more = if more == 0 { String::new() } else { format!(",\"omitted\":{more}") };
        let picked = picked.ok().and_then(|index| self.deployment(index));
        ascii(&format!(
            r#"{{"group":{},"selected":{},"routing":{},"candidates":[{}]{more},"attempts":[{}]}}"#,
            quoted(group),
            picked.map_or_else(|| "null".to_owned(), |deployment| quoted(&deployment.id)),
            why.json(),
            candidates.join(","),
            attempts.join(","),
        ))
    }

    fn candidate(&self, index: usize, why: Exclusion) -> String {
        let id = self.deployment(index).map_or("", |deployment| &deployment.id);
        match why {
            None => format!(r#"{{"deployment":{},"eligible":true}}"#, quoted(id)),
            Some((reason, None)) => {
                format!(r#"{{"deployment":{},"eligible":false,"reason":"{reason}"}}"#, quoted(id))
            }
            Some((reason, Some(ms))) => format!(
                r#"{{"deployment":{},"eligible":false,"reason":"{reason}","retry_after_ms":{ms}}}"#,
                quoted(id)
            ),
        }
    }
}

/// Why a candidate is excluded, if it is.
fn verdict_on(
    context: &mut SelectionContext<'_>,
    index: usize,
    request: &SelectionRequest<'_>,
    picked: Result<usize, &NoDeployment>,
    moment: &Moment<'_>,
) -> Exclusion {
    if picked == Ok(index) {
        // Its record counts this request already, and may be full by now.
        return None;
    }
    let RetryState { tried, permanently_failed, .. } = request.retry_state;
    if picked.err() == Some(&NoDeployment::Tags) || !is_tagged(context, index, request) {
        return Some(("tag_mismatch", None));
    }
    context.states.read(index, moment.store);
    if let Some(why) = exclusion(&context.states, request, index, &Instant::new(moment.now)) {
        let left = why.until().map(|until| milliseconds(until.saturating_sub(moment.now)));
        return Some((why.name(), left));
    }
    let id = context.config.deployments.get(index).map(|deployment| &deployment.id)?;
    if permanently_failed.contains(id) {
        return Some(("permanent_error", None));
    }
    if tried.contains(id) {
        return Some(("already_tried", None));
    }
    let priority = |index| request.pool.priority_of(index);
    let is_later = picked.is_ok_and(|picked| priority(picked) < priority(index));
    is_later.then_some(("later_order", None))
}

/// Whether the request's tags admit it.
fn is_tagged(context: &SelectionContext<'_>, index: usize, request: &SelectionRequest<'_>) -> bool {
    let Ok(Some(places)) = tagged(context, request) else { return true };
    places.iter().any(|place| request.pool.members.get(*place) == Some(&index))
}

impl Excluded {
    /// In an explanation.
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
}

/// JSON that fits into a header.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_a_header_is_escaped() {
        let json = ascii(r#"{"a":"é😀\n"}"#);
        assert_eq!(json, r#"{"a":"\u00e9\ud83d\ude00\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["a"], "é😀\n");
    }
}
