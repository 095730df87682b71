//! `model_list`: its items, and the deployments that they become.

pub mod deployment;
pub mod drop_path;
pub mod ids;
pub mod limits;
pub mod model_list;
pub mod params;
pub mod tags;
