//! Plain HTTP to this machine.

use std::time::Duration;

use ureq::Agent;

/// A client that waits this long for a whole answer, and uses no forward proxy.
pub(crate) fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder().timeout_global(Some(timeout)).proxy(None);
    config.http_status_as_error(false).user_agent("llm-balancer").build().into()
}
