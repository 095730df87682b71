//! Whose fault a failure is: decided once, by [`classify`], for cooldowns, retries, fallbacks, metrics and the access log.
//!
//! - [`Class`]: the closed list, and what each class means for the request and for the deployment.
//! - [`ErrorBody`]: a provider's error body, read by its JSON members.
//! - `codes` and `phrases`: what providers write there, with where it was seen.
//! - [`Fault`]: a failed attempt with its class.

pub mod cooldown;
pub mod fallback;
pub mod retry;
pub mod usage_refusals;

mod body;
mod class;
mod classify;
mod codes;
mod fault;
mod phrases;
mod spoken;

pub use body::ErrorBody;
pub use class::{Class, RetryScope};
pub use classify::{Added, ProviderError, classify};
pub use fault::Fault;
