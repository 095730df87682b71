//! A provider that answers as OpenAI or Anthropic would, or fails as its script says. A deployment
//! is the first segment of the path.
//!
//! `answer` says what to do, `decision` chooses an answer where no script does, `wire` performs it
//! byte by byte, `openai` and `anthropic` have the bodies, `received` is a request, `provider` is the
//! listener. `vllm` is a fleet whose answers take time.

mod answer;
mod anthropic;
mod decision;
mod openai;
mod provider;
mod received;
pub mod vllm;
mod wire;

pub use answer::Answer;
pub use openai::DONE;
pub use provider::Provider;
pub use received::Received;
