//! The Unix socket to Redis, whose path must fit into a socket address.

use std::path::Path;

use llm_balancer_config::Config;

use super::command_error::CommandError;

/// `sun_path` of Linux has 108 bytes, the last of them zero (unix(7)).
const MAX_BYTES: usize = 107;

/// The path as Envoy gets it. An error if the configuration has a Redis and the path is too long;
/// `advice` says how to shorten it.
pub(crate) fn path(config: &Config, path: &Path, advice: &str) -> Result<String, CommandError> {
    let path = path.display().to_string();
    let length = path.len();
    if config.redis.is_some() && length > MAX_BYTES {
        return Err(CommandError::Io(format!(
            "the path of the socket to Redis is {length} bytes long, the maximum is {MAX_BYTES}: {advice} ({path})"
        )));
    }
    Ok(path)
}
