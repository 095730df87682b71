//! Prints what a request costs in the filter.
//!
//! `cargo run -p llm-balancer-cost -- [FILTER.wasm]` measures the filter of `make build` or the named
//! one. `--functions=chat` also lists the functions that run most instructions in that scenario; they
//! have names in a filter that was built with `CARGO_PROFILE_RELEASE_STRIP=false`. `--bless` writes
//! the table that the test compares.

use std::path::Path;

use llm_balancer_cost::{Table, details, functions, measure, release_filter};

fn main() {
    let (options, files): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let measured = measure(&files.first().map_or_else(release_filter, Into::into));
    let table = Table::of(&measured);
    println!("{table}\n{}", details(&measured));
    for (scenario, tally) in &measured {
        if options.contains(&format!("--functions={}", scenario.name())) {
            println!("Instructions by function: {}\n{}", scenario.name(), functions(tally));
        }
    }
    if options.iter().any(|option| option == "--bless") {
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected.txt");
        std::fs::write(expected, table.to_string()).expect("the table is written");
    }
}
