//! A client's request: what it asks for, what it may ask of the router, and how it is refused.

mod fallbacks_param;
pub mod mock;
pub mod model_name;
mod numbers;
pub mod overrides;
pub mod parse;
pub mod prompt_tokens;
pub mod refusal;
pub mod reserved_params;
pub mod routing_params;
pub mod tags_param;
pub mod token_estimate;
