//! A client's request: what it asks for, what it may ask of the router, and how it is refused.

pub mod drop_path;
pub mod model_name;
pub mod overrides;
pub mod parse;
pub mod prompt_tokens;
pub mod refusal;
pub mod token_estimate;
