//! Reading takes memory and time in proportion to the size of a file, not to what it repeats or
//! misspells.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::io;
use std::time::{Duration, Instant};

use llm_balancer_config::{Finding, Reading, Severity, load, read};

/// Far above what any of these takes now, and far below what they took without a bound.
const GENEROUS: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "a generous deadline")]
fn in_time(what: &str, text: &str) -> Reading {
    let start = Instant::now();
    let reading = read("config.yaml", text, &|_| None);
    assert!(start.elapsed() < GENEROUS, "{what}: {:?}", start.elapsed());
    reading
}

fn refusals(reading: &Reading) -> Vec<&Finding> {
    reading.findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

#[test]
fn aliases_repeat_a_few_times_the_files_size_and_no_more() {
    let long = "x".repeat(30_000);
    let repeated = |count: usize| format!("x-long: &a {long}\nx-all: [{}]\n", "*a,".repeat(count));
    let reading = in_time("a long text", &repeated(11_600));
    let [refused] = refusals(&reading)[..] else { panic!("{:?}", reading.findings) };
    assert_eq!(refused.message, "aliases repeat more than 200000 values or 1048576 bytes of text");
    // A few repetitions are allowed.
    assert!(!in_time("ten times", &repeated(10)).findings.iter().any(|f| f.message.contains("aliases")));
    // Keys count too, and so do anchored copies that no alias repeats.
    let keys = format!("x-k: &a {{? {long}\n: 1}}\nx-all: [{}]\n", "*a,".repeat(100));
    assert!(in_time("a long key", &keys).findings[0].message.contains("bytes of text"));
    let nested = format!("x-n: {}{long}{}\n", "&a [".repeat(90), "]".repeat(90));
    assert!(in_time("nested anchors", &nested).findings[0].message.contains("bytes of text"));
}

#[test]
fn many_anchors_and_aliases_are_looked_up_and_not_searched() {
    let mut text = String::new();
    for index in 0..60_000 {
        text.push_str(&format!("x-{index}: &a{index} v\n"));
    }
    let aliases: Vec<String> = (0..60_000).map(|index| format!("*a{index}")).collect();
    text.push_str(&format!("x-all: [{}]\n", aliases.join(",")));
    in_time("anchors", &text);
}

#[test]
fn long_keys_around_many_maps_are_written_out_for_a_finding_alone() {
    let maps = "{a: 1},".repeat(50_000);
    in_time("a long key", &format!("x-{}: [{maps}]\n", "k".repeat(100_000)));
    let deep = "k".repeat(500);
    let twice = format!("x-{deep}: [{}]\n", "{a: 1, a: 2},".repeat(50_000));
    let reading = in_time("duplicates below a long key", &twice);
    assert!(reading.findings.len() <= 2000, "{}", reading.findings.len());
}

#[test]
fn ten_thousand_misspellings_of_ten_thousand_names_are_read_in_time() {
    let mut text = String::from("model_list:\n");
    for index in 0..10_000 {
        let params = format!("{{model: openai/m, api_key: k, api_base: 'http://h', rpm: {}}}", index + 1);
        text.push_str(&format!("- {{model_name: team-group-{index:05}, litellm_params: {params}}}\n"));
    }
    text.push_str("router_settings:\n  fallbacks:\n");
    for index in 0..10_000 {
        text.push_str(&format!("  - team-group-{index:05}: [team-gruop-{index:05}]\n"));
    }
    let reading = in_time("misspelt groups", &text);
    let refused = refusals(&reading);
    assert!(refused[0].advice.starts_with("did you mean team-group-"), "{}", refused[0]);
    assert_eq!(refused.len(), 1000);
    assert!(refused[999].message.ends_with("(further findings of this severity are not printed)"));
}

#[test]
fn unknown_keys_by_the_hundred_thousand_leave_what_is_refused_to_be_seen() {
    let mut text = String::from("model_list:\n- model_name: g\n  litellm_params:\n    model: openai/m\n");
    for index in 0..100_000 {
        text.push_str(&format!("    max_tokenz_{index}: 1\n"));
    }
    text.push_str("router_settings: {routing_strategy: fastest}\n");
    let reading = in_time("unknown keys", &text);
    assert_eq!(refusals(&reading).len(), 1);
    assert!(reading.findings.len() <= 1001, "{}", reading.findings.len());
}

#[test]
fn include_is_read_once_by_however_many_ways_a_file_is_reached() {
    // Every file includes all that follow it: 2^30 paths to the last one.
    let read_file = |name: &str| -> io::Result<String> {
        let number: usize =
            name.trim_end_matches(".yaml").parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        let all: Vec<String> = (number + 1..30).map(|next| format!("{next}.yaml")).collect();
        Ok(format!("include: [{}]\nx-{number}: 1\n", all.join(", ")))
    };
    let loaded = load("0.yaml", &read_file, &|_| None);
    assert_eq!(loaded.reading.findings.len(), 1, "{:?}", loaded.reading.findings);
    assert!(loaded.reading.findings[0].message.contains("missing key"));
    let cycle = |_: &str| Ok("include: [b.yaml, a.yaml]\n".to_owned());
    let findings = load("a.yaml", &cycle, &|_| None).reading.findings;
    assert!(findings.iter().any(|finding| finding.message.contains("includes itself")), "{findings:?}");
}

#[test]
fn a_scalar_of_ten_megabytes_is_shown_short() {
    let text = format!(
        "model_list:\n- model_name: \"{}\"\n  litellm_params: {{model: gpt-4o}}\n",
        "g".repeat(10_000_000)
    );
    let reading = in_time("a huge name", &text);
    assert_eq!(refusals(&reading)[0].message, "longer than 1024 bytes");
    let huge_key = format!("{}: 1\n", "k".repeat(10_000_000));
    let reading = in_time("a huge key", &huge_key);
    assert!(reading.findings.iter().all(|finding| finding.to_string().len() < 10_000));
}
