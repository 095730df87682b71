//! The decisions of llm-balancer: which deployment serves a request, and what happens after its
//! response.
//!
//! Host, clock and source of randomness are arguments, so the same code runs natively, in Node and
//! in Envoy. [`Router`] has one method for each event of a request. The folders below are in the
//! order of their dependencies: each uses only those below it.

pub mod stream;

mod router;

mod telemetry;

mod select;

mod fleet;

mod attempt;

mod models;

mod affinity;

mod upstream;

mod failure;

mod strategy;

mod state;

mod request;

mod http;

mod outcome;

mod hash;
mod random;

pub use attempt::{Attempt, RetryState};
pub use fleet::{Call, CallResult, FleetClient, FollowUp, Recall, RedisTransition, WAIT_SECONDS};
pub use http::headers::Headers;
pub use http::reply::Reply;
pub use http::retry_after::retry_after;
pub use http::rewritten_body::Original;
pub use outcome::{Failure, Outcome};
pub use random::{Random, SplitMix};
pub use request::reference_scan::ReferenceScan;
pub use request::references::Reference;
pub use request::{Refusal, Request};
pub use router::{
    Arrival, Awaited, ERROR_HEADERS, ErrorResponse, ResponseSummary, Router, Sending, Step, StreamEnd,
    Verdict, sends_body, wire,
};
pub use state::amount::Amount;
pub use state::heartbeats::HEARTBEAT;
pub use state::membership::Membership;
pub use state::store::{Moment, Store, Version};
pub use telemetry::access_log::AccessLogEntry;
pub use telemetry::families::{FAMILIES, Family, FamilyKind, family_of};
pub use telemetry::metrics::{Change, series};
pub use upstream::final_event::{FinalEvent, FinalEventScan};
pub use upstream::usage::{Usage, UsageScanner};
pub use upstream::usage_event_filter::{Filtered, UsageEventFilter};
pub use upstream::{health, response_check};

/// What only tests and examples use.
#[cfg(feature = "testing")]
pub mod testing {
    pub use crate::failure::{ErrorClass, ProviderError, classify};
    pub use crate::fleet::{resp, script_name};
    pub use crate::http::json::{NotAnObject, Object};
    pub use crate::http::multipart::Form;
    pub use crate::http::route::{ANTHROPIC_ROUTES, BodyKind, MODEL_ROUTES, ModelRoute};
    pub use crate::request::sent_members::SentMembers;
    pub use crate::state::format::{decode, encode};
    pub use crate::state::lease::Lease;
    pub use crate::state::record::Record;
    pub use crate::state::store::{Memory, contract};
    pub use crate::state::time::{Minute, UnixMillis};
    pub use crate::state::window::Window;
}
