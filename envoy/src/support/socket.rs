//! The Unix socket on the way to Redis. Its path has to fit into an address.

use std::path::Path;

use llm_balancer_config::Config;

use crate::support::failure::Failure;

/// `sun_path` of Linux has 108 bytes, the last of them a zero.
const LONGEST: usize = 107;

/// The path for Envoy, if the configuration needs the socket and it can be made there.
pub fn path(config: &Config, path: &Path, shorter: &str) -> Result<String, Failure> {
    let path = path.display().to_string();
    if config.redis.is_some() && path.len() > LONGEST {
        let length = path.len();
        return Err(Failure::Machine(format!(
            "the path of the socket on the way to Redis has {length} bytes, and {LONGEST} is the most that a socket can have: {shorter} ({path})"
        )));
    }
    Ok(path)
}
