//! A provider that answers as OpenAI would, or fails as its script says. A deployment is the first
//! segment of the path.
//!
//! `answer` says what to do, `wire` does it byte by byte, `openai` has the bodies, `received` is a
//! request, `provider` is the listener.

mod answer;
mod openai;
mod provider;
mod received;
mod wire;

pub use answer::Answer;
pub use openai::DONE;
pub use provider::Provider;
pub use received::Received;
