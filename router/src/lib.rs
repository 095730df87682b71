//! The decisions of llm-balancer: which deployment serves a request, and what happens after it answered.
//!
//! Nothing here knows the host, the clock or a source of randomness: all three come in as arguments, so the same code
//! runs natively, under Node and inside Envoy. The modules stand in the order in which a request meets them.

// What comes in.
pub mod headers;
pub mod json;
pub mod multipart;
pub mod route;

// Who is asked for, and by whom.
pub mod auth;
pub mod group;
pub mod request;
pub mod wildcard;
pub mod wishes;

// Who serves, and what is sent.
pub mod attempt;
pub mod body;
pub mod random;
pub mod rewrite;
pub mod strategy;
pub mod tags;

// What became of it.
pub mod answer;
pub mod fallback;
pub mod outcome;
pub mod reply;
pub mod retry;
pub mod retry_after;

// What is told about the configuration itself.
pub mod health;
pub mod listing;

mod router;
pub use router::{Arrival, Router, Sending, Step, Verdict};
