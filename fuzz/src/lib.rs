//! What fuzzing runs: a function for each target. It takes any bytes, and panics where the product
//! does anything else than an oracle says. libFuzzer and the replay of the corpora call the same
//! functions.

#[allow(dead_code, unused_imports, reason = "the router's stories use the rest")]
#[path = "../../router/tests/stories/common/mod.rs"]
mod common;
mod config_text;
mod configuration;
mod error_class;
mod json_body;
mod multipart;
#[path = "../../router/tests/plain/mod.rs"]
mod plain;
mod redis_reply;
mod retry_after;
mod router_events;
mod seeds;
mod sse;
mod wildcard;
mod withheld;

pub use config_text::config_text;
pub use error_class::error_class;
pub use json_body::json_body;
pub use multipart::multipart;
pub use redis_reply::redis_reply;
pub use retry_after::retry_after_header;
pub use router_events::router_events;
pub use seeds::seeds;
pub use sse::sse;
pub use wildcard::wildcard;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by their names, which are those of the programs and of the folders of `corpus`.
pub const TARGETS: [(&str, Target); 9] = [
    ("config_text", config_text),
    ("error_class", error_class),
    ("json_body", json_body),
    ("multipart", multipart),
    ("redis_reply", redis_reply),
    ("retry_after", retry_after_header),
    ("router_events", router_events),
    ("sse", sse),
    ("wildcard", wildcard),
];
