//! The far side of the balancer: a fake provider. `answer` says what it does, `wire` does it, `openai` has the words.

mod answer;
mod openai;
mod provider;
mod wire;

pub use answer::Answer;
pub use openai::DONE;
pub use provider::Provider;
pub use wire::Received;
