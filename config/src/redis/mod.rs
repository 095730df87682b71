//! Redis, through which instances share what they count.

pub mod env;
pub mod sections;
pub mod server;
pub mod url;
