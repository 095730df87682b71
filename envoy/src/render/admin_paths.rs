//! What the admin port answers if `serve` runs Envoy.
//!
//! The port has no password, and every user of the machine can connect to it. `/config_dump` would
//! show the keys of the user's file, `/logging` would write headers with keys into the log, and
//! `/quitquitquit` would end Envoy.

use serde_json::{Value, json};

/// Why Envoy rejected a listener, without the listener.
pub(crate) const REJECTED_LISTENERS: &str =
    "/config_dump?resource=dynamic_listeners&mask=error_state.details";
/// Has Envoy ask clients for other connections.
pub(crate) const FAIL_HEALTH_CHECK: &str = "/healthcheck/fail";
/// Closes the port for clients.
pub(crate) const CLOSE_PORT: &str = "/drain_listeners?inboundonly";

/// What people and monitoring read: numbers, names and addresses.
const READABLE: [&str; 7] =
    ["/ready", "/stats?", "/stats/prometheus", "/clusters", "/listeners", "/memory", "/server_info"];
/// Not as a prefix: `/stats/recentlookups/clear` is a command.
const STATISTICS: &str = "/stats";

/// The field `allow_paths` of the admin port. Envoy compares a path with its query.
pub(super) fn allowed() -> Value {
    let exact = [STATISTICS, REJECTED_LISTENERS, FAIL_HEALTH_CHECK, CLOSE_PORT];
    let readable = READABLE.map(|path| json!({"prefix": path}));
    readable.into_iter().chain(exact.map(|path| json!({"exact": path}))).collect()
}
