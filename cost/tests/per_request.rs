//! What a request costs in the release build of the filter.

use llm_balancer_cost::{Table, measure, release_filter, small_filter};

#[test]
fn a_request_makes_as_many_host_calls_entries_and_copies_as_the_table_says() {
    let expected = Table::read(include_str!("expected.txt"));
    let measured = Table::of(&measure(&release_filter()));
    let differences = expected.differences(&measured);
    assert!(
        differences.is_empty(),
        "{}\n\n{measured}\nIf that is right, or better: `make build`, then `cargo run -p llm-balancer-cost -- --bless`",
        differences.join("\n"),
    );
}

/// A mesh carries the small build of the filter in a ConfigMap of at most 1,048,576 bytes.
#[test]
fn the_small_filter_has_at_most_1_000_000_bytes() {
    let size = std::fs::metadata(small_filter()).expect("`make build` has built the filter").len();
    assert!(size <= 1_000_000, "{size} bytes; docs/decisions/compile-options.md");
}
