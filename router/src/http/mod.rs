//! HTTP and its formats: headers, routes, JSON, forms, server-sent events. Nothing here knows about models.

pub mod auth;
pub mod headers;
pub mod json;
pub mod multipart;
pub mod new_body;
pub mod reply;
pub mod retry_after;
pub mod route;
pub mod sse;
