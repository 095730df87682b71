//! A client's request: what it asks for, what it may ask of the router, and how it is refused.

pub(crate) mod affinity_headers;
pub(crate) mod fallbacks_param;
pub(crate) mod mock;
pub(crate) mod model_name;
mod numbers;
pub(crate) mod overrides;
pub(crate) mod parse;
pub(crate) mod prompt_tokens;
pub(crate) mod reference_scan;
pub(crate) mod references;
pub(crate) mod refusal;
pub(crate) mod reserved_params;
pub(crate) mod routing_params;
pub(crate) mod sent_members;
pub(crate) mod stored_response;
pub(crate) mod tags_param;
pub(crate) mod token_estimate;
pub(crate) mod unavailable;
pub(crate) mod unresolved;

pub use parse::Request;
pub use refusal::Refusal;
