//! The decisions of llm-balancer: which deployment serves a request, and what happens after it answered.
//!
//! Nothing here knows the host, the clock or a source of randomness: all three come in as arguments, so the same code
//! runs natively, under Node and inside Envoy. The modules stand in the order in which a request meets them.

// What comes in.
pub mod headers;
pub mod json;
pub mod multipart;
pub mod new_body;
pub mod route;

// Who is asked for, and by whom.
pub mod auth;
pub mod group;
pub mod request;
pub mod wildcard;
pub mod wishes;

// What is remembered, and shared by all workers.
pub mod alive;
pub mod completions;
pub mod fleet;
pub mod freed;
pub mod latency;
pub mod lease;
pub mod ledger;
pub mod outlier;
pub mod record;
pub mod resp;
pub mod store;
pub mod sums;
pub mod terms;
pub mod waiting;
pub mod window;

// Who may serve, who does, and what is sent.
pub mod attempt;
pub mod body;
mod drop_path;
pub mod eligible;
pub mod estimate;
pub mod paths;
pub mod prompt_tokens;
pub mod random;
pub mod rewrite;
pub mod rotation;
pub mod seen;
pub mod shortlist;
pub mod single_hop;
mod sse;
pub mod strategy;
pub mod stream_options;
pub mod tags;

// What became of it.
pub mod account;
pub mod answer;
pub mod answer_check;
pub mod cooldown;
pub mod failure;
pub mod fallback;
mod names;
pub mod outcome;
pub mod redirect;
pub mod reply;
pub mod retry;
pub mod retry_after;
pub mod usage;
pub mod withhold;

// What is shown to those who watch.
pub mod explain;
pub mod meters;
pub mod watch;

// What is told about the configuration itself.
pub mod health;
pub mod listing;

// The order of decisions.
mod arriving;
mod choosing;
mod concluding;
mod fallback_room;
mod oversized;
mod resending;
mod router;
mod sending;
mod settling;
mod sync;
mod usage_refusals;
pub use resending::Resend;
pub use router::{Arrival, Asking, Router, Sending, Step, Verdict};
pub use settling::{End, Ended, Said};
pub use sync::{Call, News, Told};
