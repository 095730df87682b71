//! From the name of a model to the deployments that may serve it, and the lists of those names.

pub mod groups;
pub mod listing;
mod model_page;
pub mod pool;
pub mod wildcard;
