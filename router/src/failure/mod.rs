//! What a failed attempt means. [`classify`] decides it once, for cooldowns, retries, fallbacks,
//! metrics and the access log.
//!
//! - [`ErrorClass`]: the list of classes, and what each means for the request and the deployment.
//! - [`ErrorBody`]: a provider's error body, by its JSON members.
//! - `codes` and `phrases`: what providers write there, and `unquoted`: messages without quotes.
//! - `named_wait`: the time to wait that a message names.
//! - [`AttemptError`]: a failed attempt with its class.
//! - [`retry`], [`fallback`], [`cooldown`]: what follows.
//! - [`refusals`]: what is left out of later requests.

pub mod cooldown;
pub mod fallback;
pub mod refusals;
pub mod retry;

mod attempt_error;
mod classify;
mod codes;
mod error_body;
mod error_class;
mod named_wait;
mod own_words;
mod phrases;
mod unquoted;

pub use attempt_error::AttemptError;
pub use classify::{Classified, ProviderError, classify};
pub use error_body::ErrorBody;
pub use error_class::{ErrorClass, RetryScope};

#[cfg(test)]
mod tests;
