//! `model_list`: its items, and the deployments of each.

mod affinity;
mod claude;
mod drop_path;
mod ids;
mod item;
mod limits;
mod model_list;
mod modes;
mod native_params;
mod params;
mod prompt_template;
mod raw;
mod shown;
mod stored_credentials;
mod tags;
mod weights;

pub(crate) use claude::warn_of_claude_without_messages;
pub(crate) use model_list::{ModelList, read_model_list};
pub(crate) use raw::FileDefaults;
pub(crate) use stored_credentials::StoredCredentials;
