//! The decisions of llm-balancer: which deployment serves a request, and what happens after it answered.
//!
//! Nothing here knows the host, the clock or a source of randomness: all three come in as arguments, so the same code
//! runs natively, under Node and inside Envoy. The folders depend on each other in one direction: each uses only those below it.

pub mod router;

pub mod attempt;
pub mod failure;
pub mod fleet;
pub mod http;
mod models;
pub mod outcome;
pub mod random;
pub mod request;
mod select;
pub mod state;
mod strategy;
pub mod stream;
pub mod telemetry;
pub mod upstream;

pub use fleet::{Call, CallResult, FleetClient, RedisTransition};
pub use router::{
    Arrival, ErrorResponse, NeedsLease, ResponseSummary, Router, Sending, Step, StreamEnd, Verdict,
};
