//! `x-llm-balancer-explain`: which deployment was selected, and why the others were not.
//!
//! It shows deployments and their remaining limits, so only clients with the master key get it.

use llm_balancer_config::Config;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::attempt::{RetryState, SelectionInfo, serialize_some};
use crate::http::headers::Headers;
use crate::select::eligible::exclusion;
use crate::select::preferred::{OVER_LOAD, is_over_load};
use crate::select::tags::{contains, tagged};
use crate::select::{CurrentRequest, NoDeployment, SelectionContext, SelectionRequest};
use crate::state::snapshot::CurrentTime;
use crate::state::store::Moment;
use crate::state::time::millis;

/// The header of the request that asks for an explanation, and of the answer that has it.
pub const HEADER: &str = "x-llm-balancer-explain";
/// Deployments in an explanation: all headers of a response have 60 KiB in Envoy.
const MAX_CANDIDATES: usize = 100;

/// Whether the request asks for an explanation, and may have it. Its key has been checked before.
pub fn is_requested(config: &Config, headers: &Headers) -> bool {
    config.server.master_key.is_some()
        && headers.get(HEADER).is_some_and(|value| matches!(value, "1" | "true" | "True"))
}

/// Explains the result of a selection, as one JSON object in ASCII. Reads the records of the
/// candidates again that it lists.
pub(crate) fn explain(
    context: &mut SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    selected: Result<usize, &NoDeployment>,
    routing: SelectionInfo,
    moment: &Moment<'_>,
) -> String {
    let config = context.config;
    let id = |index: usize| config.deployments.get(index).map(|deployment| &*deployment.id);
    let request = request.at(context, moment);
    let tagged = tagged(config, request.pool, request.tags);
    let is_tagged = |place| tagged.as_ref().is_ok_and(|places| contains(places.as_deref(), place));
    let candidate = |(place, index): (usize, &usize)| {
        if place < MAX_CANDIDATES {
            context.states.read(*index, moment.store);
        }
        ExplainedCandidate {
            deployment: id(*index).unwrap_or_default(),
            exclusion: explain_one(context, *index, &request, is_tagged(place), selected, moment),
        }
    };
    let mut candidates: Vec<_> = request.pool.members.iter().enumerate().map(candidate).collect();
    let eligible = candidates.iter().filter(|candidate| candidate.exclusion.is_none()).count();
    let omitted = candidates.len().saturating_sub(MAX_CANDIDATES);
    candidates.truncate(MAX_CANDIDATES);
    let explanation = Explanation {
        request: &request,
        selected: selected.ok().and_then(id),
        // Selection had older copies of the records.
        routing: SelectionInfo { eligible: Some(eligible), ..routing },
        candidates,
        omitted,
    };
    ascii(&serde_json::to_string(&explanation).unwrap_or_default())
}

struct Explanation<'a> {
    request: &'a SelectionRequest<'a>,
    /// Id of a deployment.
    selected: Option<&'a str>,
    routing: SelectionInfo,
    candidates: Vec<ExplainedCandidate<'a>>,
    omitted: usize,
}

struct ExplainedCandidate<'a> {
    /// Its id.
    deployment: &'a str,
    /// Why it was not eligible, if it was not.
    exclusion: Option<Exclusion>,
}

/// Why a candidate was not eligible, and for how long that lasts, in milliseconds.
struct Exclusion(&'static str, Option<u64>);

impl Serialize for Explanation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("group", &*self.request.pool.label)?;
        map.serialize_entry("selected", &self.selected)?;
        map.serialize_entry("routing", &self.routing)?;
        map.serialize_entry("candidates", &self.candidates)?;
        serialize_some(&mut map, "omitted", Some(self.omitted).filter(|omitted| *omitted > 0))?;
        map.serialize_entry("attempts", &self.request.retry_state.attempts)?;
        map.end()
    }
}

impl Serialize for ExplainedCandidate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("deployment", self.deployment)?;
        map.serialize_entry("eligible", &self.exclusion.is_none())?;
        if let Some(Exclusion(reason, retry_after)) = &self.exclusion {
            map.serialize_entry("reason", reason)?;
            serialize_some(&mut map, "retry_after_ms", *retry_after)?;
        }
        map.end()
    }
}

fn explain_one(
    context: &SelectionContext<'_>,
    index: usize,
    request: &CurrentRequest<'_>,
    is_tagged: bool,
    selected: Result<usize, &NoDeployment>,
    moment: &Moment<'_>,
) -> Option<Exclusion> {
    if selected == Ok(index) {
        // Its record counts this request already, and may be full by now.
        return None;
    }
    if !is_tagged {
        return Some(Exclusion("tag_mismatch", None));
    }
    if let Some(excluded) = exclusion(&context.states, request, index, &CurrentTime::new(moment.now)) {
        let left = excluded.until().map(|until| millis(until.saturating_sub(moment.now)));
        return Some(Exclusion(excluded.name(), left));
    }
    let id = &context.config.deployments.get(index)?.id;
    let RetryState { tried, permanently_failed, .. } = request.retry_state;
    let priority = |index| request.pool.priority_of(index);
    match selected {
        _ if permanently_failed.contains(id) => Some(Exclusion("permanent_error", None)),
        _ if tried.contains(id) => Some(Exclusion("already_tried", None)),
        Ok(selected) if priority(selected) < priority(index) => Some(Exclusion("later_order", None)),
        Ok(selected) if is_over_load(context, request, index, selected) => Some(Exclusion(OVER_LOAD, None)),
        _ => None,
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
