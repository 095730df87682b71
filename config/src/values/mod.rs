//! Typed values out of the tree: environment variables replaced, strings converted, texts checked.

mod credentials;
mod environment;
mod reader;
mod secret;
mod settings;
mod text;
pub(crate) mod url;
mod variable_name;

pub(crate) use credentials::{is_hidden_name, is_literal, is_secret_name};
pub(crate) use environment::{Environment, Lookup, PREFIX};
pub(crate) use reader::{Reader, Section, Unset, found};
pub use secret::Secret;
pub(crate) use settings::Settings;
pub(crate) use text::{TextKind, VARIABLE_SYNTAX, unreplaced};
