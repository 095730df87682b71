//! Model names: from the name in a request to the deployments that serve it, and back in the listings.

pub mod groups;
pub mod listing;
pub mod wildcard;
