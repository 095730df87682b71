//! Whose fault a failure is: decided once, by [`classify`], for cooldowns, retries, fallbacks, metrics and the access log.
//!
//! - [`ErrorClass`]: the closed list, and what each class means for the request and for the deployment.
//! - [`ErrorBody`]: a provider's error body, read by its JSON members.
//! - `codes` and `phrases`: what providers write there, with where it was seen.
//! - [`AttemptError`]: a failed attempt with its class.

pub mod cooldown;
pub mod fallback;
pub mod retry;
pub mod usage_refusals;

mod attempt_error;
mod classify;
mod codes;
mod error_body;
mod error_class;
mod phrases;
mod spoken;

pub use attempt_error::AttemptError;
pub use classify::{Added, Classified, ProviderError, classify};
pub use error_body::ErrorBody;
pub use error_class::{ErrorClass, RetryScope};

#[cfg(test)]
mod tests;
