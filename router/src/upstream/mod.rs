//! The provider's side: the request that it gets, and what its answer says.

pub mod body;
pub mod headers;
pub mod health;
pub mod paths;
pub mod redirect;
pub mod response_check;
pub mod single_hop;
pub mod stream_options;
pub mod usage;
pub mod usage_event_filter;
