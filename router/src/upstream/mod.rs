//! The provider's side: the request that a deployment gets, and what is read of its response.

pub mod body;
pub mod final_event;
mod finish_reason;
pub mod headers;
pub mod health;
mod params;
pub mod paths;
pub mod redirect;
pub mod response_check;
pub mod single_hop;
pub mod stream_options;
pub mod usage;
pub mod usage_event_filter;
