//! Prints what a request costs in the filter. `cargo run -p llm-balancer-cost -- [FILTER.wasm]`
//! measures the filter of `make build` or the named one; with `--bless`, also writes the table that
//! the test compares.

use std::path::Path;

use llm_balancer_cost::{Table, details, measure, release_filter};

fn main() {
    let (options, files): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let filter = files.first().map_or_else(release_filter, Into::into);
    let measured = measure(&filter);
    let table = Table::of(&measured);
    println!("{table}\n{}", details(&measured));
    if options.iter().any(|option| option == "--bless") {
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected.txt");
        std::fs::write(expected, table.to_string()).expect("the table is written");
    }
}
