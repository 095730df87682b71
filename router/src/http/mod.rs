//! HTTP and its formats: headers, routes, JSON, forms, server-sent events. Nothing here knows about
//! models.

pub mod auth;
pub mod headers;
pub mod json;
pub mod multipart;
pub mod reply;
mod response_route;
pub mod retry_after;
pub mod rewritten_body;
pub mod route;
pub mod sse;
pub mod text;
