//! What is found while a file is read: collected with place and path, printed one line each.

pub mod accept;
pub mod finding;
pub mod report;
pub mod suggest;
