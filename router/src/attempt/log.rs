//! Attempts in the access log and in explanations. docs/metrics.md lists the members of their JSON.

use std::sync::Arc;

use llm_balancer_config::Strategy;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::affinity::AffinityResult;
use crate::failure::{AttemptError, ErrorClass};
use crate::outcome::Outcome;

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub struct AttemptLog {
    /// Id of the deployment.
    pub deployment: Arc<str>,
    /// How it ended.
    pub result: AttemptResult,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Envoy's detail of a connection that failed.
    pub detail: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct AttemptResult {
    /// In general.
    pub outcome: Outcome,
    /// The provider's status; 0 where there was none.
    pub status: u16,
    /// The class of its error, if it failed.
    pub class: Option<ErrorClass>,
}

/// How a deployment was selected.
#[derive(Clone, Copy, Debug)]
pub struct SelectionInfo {
    /// The strategy of the group.
    pub strategy: Strategy,
    /// Deployments that could have served, as far as this worker knew; `None` where the strategy
    /// did not look at all.
    pub eligible: Option<usize>,
    /// All deployments of the model.
    pub total: usize,
    /// Whether it was selected only to measure its latency.
    pub probe: bool,
    /// What became of the request's preference, where its group has affinity.
    pub affinity: Option<AffinityInfo>,
}

/// How a deployment was preferred.
#[derive(Clone, Copy, Debug)]
pub struct AffinityInfo {
    /// Whether it was, and why not.
    pub result: AffinityResult,
    /// Deployments before it in the order of the request's key.
    pub rank: Option<usize>,
}

impl From<&AttemptError> for AttemptResult {
    fn from(error: &AttemptError) -> Self {
        let status = error.failure.provider_status().unwrap_or_default();
        Self { outcome: error.outcome(), status, class: Some(error.class) }
    }
}

impl Serialize for AttemptLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let AttemptResult { outcome, status, class } = self.result;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("deployment", &*self.deployment)?;
        map.serialize_entry("outcome", outcome.name())?;
        serialize_some(&mut map, "class", class.map(ErrorClass::name))?;
        serialize_some(&mut map, "status", Some(status).filter(|status| *status > 0))?;
        serialize_some(&mut map, "detail", self.detail.as_ref())?;
        map.serialize_entry("ms", &self.milliseconds)?;
        map.end()
    }
}

impl Serialize for SelectionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("strategy", self.strategy.name())?;
        serialize_some(&mut map, "eligible", self.eligible)?;
        map.serialize_entry("candidates", &self.total)?;
        serialize_some(&mut map, "probe", Some(true).filter(|_| self.probe))?;
        if let Some(AffinityInfo { result, rank }) = self.affinity {
            map.serialize_entry("affinity", result.name())?;
            serialize_some(&mut map, "affinity_reason", result.reason())?;
            serialize_some(&mut map, "affinity_rank", rank)?;
        }
        map.end()
    }
}

/// Writes a member; one without a value is left out.
pub(crate) fn serialize_some<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}
