//! Counts what a request costs in the filter: host calls, entries into the VM, bytes copied across
//! its border, and instructions. The release build of the filter runs in an interpreter, with a
//! host that behaves as Envoy does towards a request that succeeds.
//!
//! Counts are the same on every machine and in every run. Instructions are those of WebAssembly,
//! before the optimisations of Envoy's V8: they stand for time only roughly, and say nothing about
//! Envoy's own work for a host call. `make bench` measures time.
//!
//! | module | has |
//! |---|---|
//! | `tally` | [`Tally`]: what was counted |
//! | `host` | the functions that the filter imports, and what they act on |
//! | `instrument` | counters in the filter's code |
//! | `vm` | [`Vm`]: the filter in the interpreter, and its callbacks in Envoy's order |
//! | `scenario` | [`Scenario`]: configurations and requests that are measured |
//! | `table` | the table that the test compares, and the details for people |

mod host;
mod instrument;
mod scenario;
mod table;
mod tally;
mod vm;

use std::path::{Path, PathBuf};

pub use scenario::Scenario;
pub use table::{Table, details, functions};
pub use tally::Tally;
pub use vm::Vm;

/// The filter of `make build`, or the one that `COST_FILTER` names.
pub fn release_filter() -> PathBuf {
    std::env::var_os("COST_FILTER").map_or_else(|| built("release"), PathBuf::from)
}

/// The filter of `make build` that a ConfigMap holds.
pub fn small_filter() -> PathBuf {
    built("small")
}

fn built(profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip1");
    target.join(profile).join("llm_balancer_filter.wasm")
}

/// Measures all scenarios with this filter.
///
/// # Panics
///
/// Panics if the file cannot be read, or if the filter does what the host does not expect of it.
pub fn measure(filter: &Path) -> Vec<(Scenario, Tally)> {
    let code = std::fs::read(filter)
        .unwrap_or_else(|error| panic!("{}: {error}; `make build` makes it", filter.display()));
    Scenario::ALL.into_iter().map(|scenario| (scenario, scenario.measure(&code))).collect()
}
