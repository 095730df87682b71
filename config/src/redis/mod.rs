//! The Redis in which instances share what they count (BEHAVIOUR 1.3 and 8).
//!
//! The file has to ask for Redis, in one of these places, the first that does: `router_settings`,
//! and keys misplaced in `general_settings`; `litellm_settings.cache_params` with `cache: true`,
//! which LiteLLM's router uses too. Environment variables fill in keys that this place leaves out.
//! They do not enable Redis by themselves.

mod env;
mod read;
mod sections;
mod server;
mod url;

pub(crate) use read::{read, read_namespace};
