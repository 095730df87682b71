//! The bootstraps that configurations become. `UPDATE=1 cargo test -p llm-balancer --test golden`
//! writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests report by panicking, in their helpers too")]

use std::{env, fs};

use llm_balancer::render::{Hops, to_yaml};
use support::Golden;

mod support;

#[test]
fn each_configuration_becomes_the_bootstrap_beside_it() {
    for golden in support::all() {
        compare(&golden, Hops::One, &format!("{}.bootstrap.yaml", golden.name));
    }
}

#[test]
fn with_two_hops_the_edge_has_no_filter() {
    let golden = support::all().into_iter().find(|golden| golden.name == "quickstart").unwrap();
    compare(&golden, Hops::Two, "quickstart-two-hops.bootstrap.yaml");
}

fn compare(golden: &Golden, hops: Hops, file: &str) {
    let file = support::folder().join(file);
    let host = if golden.config.server.master_key.is_some() { "0.0.0.0" } else { "127.0.0.1" };
    let rendered = to_yaml(&golden.bootstrap(&format!("{host}:4000"), 9901, hops)).unwrap();
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, &rendered).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(rendered == expected, "{} differs; UPDATE=1 rewrites it", file.display());
}
