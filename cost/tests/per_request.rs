//! What a request costs in the release build of the filter.

use llm_balancer_cost::{Table, measure, release_filter};

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
