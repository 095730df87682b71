//! A file that cannot be served: the one before is, and the log, the metrics and `status` say why.

use std::fs;
use std::process::Command;
use std::time::Duration;

use llm_balancer_integration::{Balancer, Client, Launch, World, eventually, item};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{of, until_served_by};

const RELOAD_SUCCESSFUL: &str = "llm_balancer_config_last_reload_successful{}";
const RELOAD_ERROR: &str = "llm_balancer_config_reload_error_info";

/// A series' value. An empty label is none.
async fn metric(balancer: &Balancer, series: &str) -> Option<f64> {
    let text = Client::new(balancer.admin_port).get("/stats/prometheus").await.text();
    let text = text.replace(r#"{group=""}"#, "{}");
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

async fn shows(balancer: &Balancer, series: &str, value: Option<f64>) {
    let mut seen = None;
    let is_shown = eventually(async || {
        seen = metric(balancer, series).await;
        seen == value
    });
    assert!(is_shown.await, "{series}: expected {value:?}, found {seen:?}");
}

/// What `llm-balancer status` prints.
fn status(balancer: &Balancer) -> String {
    let page = balancer.page();
    let output = Command::new(Balancer::binary()).args(["status", "--metrics", &page]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_what_check_says() {
    let world = World::group(&["paris"], "").await;
    shows(&world.balancer, RELOAD_SUCCESSFUL, Some(1.0)).await;
    let good = fs::read_to_string(world.balancer.file()).unwrap();
    let bad = of(&world, &["tokyo"], "router_settings: {routing_strategy: telepathy}\n");
    world.balancer.replace_file(&bad);
    world.balancer.says("keeping the previous configuration").await;
    let (usable, checked) = Balancer::check(&bad);
    assert!(!usable);
    let finding = checked.lines().find(|line| line.contains(": error: ")).expect("a finding");
    let (_, finding) = finding.split_once("config.yaml:").expect("a place");
    world.balancer.says(finding).await;
    let (line, _) = finding.split_once(':').expect("a line");
    let file = world.balancer.file().display().to_string();
    let error = format!(r#"{RELOAD_ERROR}{{reason="invalid",location="{file}:{line}"}}"#);
    shows(&world.balancer, &error, Some(1.0)).await;
    shows(&world.balancer, RELOAD_SUCCESSFUL, Some(0.0)).await;
    let shown = status(&world.balancer);
    assert!(
        shown.contains(&format!("not reloaded: {file}:{line} is invalid\nserving the file of ")),
        "{shown}"
    );
    // Said once, and not with every look.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.balancer.log().matches("keeping the previous").count(), 1);
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    world.balancer.replace_file(&good);
    world.balancer.says("the files have the served configuration again").await;
    shows(&world.balancer, RELOAD_SUCCESSFUL, Some(1.0)).await;
    shows(&world.balancer, &error, Some(0.0)).await;
    fs::remove_file(world.balancer.file()).unwrap();
    world.balancer.says("cannot read").await;
    shows(&world.balancer, &format!(r#"{RELOAD_ERROR}{{reason="unavailable"}}"#), Some(1.0)).await;
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    world.balancer.replace_file(&of(&world, &["oslo"], ""));
    until_served_by(&world, "oslo").await;
    shows(&world.balancer, RELOAD_SUCCESSFUL, Some(1.0)).await;
    assert!(!status(&world.balancer).contains("not reloaded"));
}

#[tokio::test]
async fn metrics_have_the_time_of_the_last_reload() {
    const TIME: &str = "llm_balancer_config_last_reload_success_timestamp_seconds{}";
    let world = World::group(&["paris"], "").await;
    let reloaded_at = async || metric(&world.balancer, TIME).await.unwrap_or_default();
    assert!(eventually(async || reloaded_at().await > 0.0).await);
    let started_at = reloaded_at().await;
    // Metrics have whole seconds.
    sleep(Duration::from_millis(1100)).await;
    world.balancer.replace_file(&of(&world, &["tokyo"], ""));
    assert!(eventually(async || reloaded_at().await > started_at).await);
    assert_eq!(metric(&world.balancer, RELOAD_SUCCESSFUL).await, Some(1.0));
}

#[tokio::test]
async fn a_file_that_needs_a_restart_is_named_so() {
    let config =
        format!("model_list:\n{}", item("gpt", "paris", "")).replace("PROVIDER", "http://127.0.0.1:1");
    let with_key = format!("{config}general_settings: {{master_key: sk-of-the-operator}}\n");
    let balancer = Launch::new(&with_key).arg("--host").arg("0.0.0.0").start().await;
    balancer.replace_file(&config);
    shows(&balancer, &format!(r#"{RELOAD_ERROR}{{reason="needs_restart"}}"#), Some(1.0)).await;
    shows(&balancer, RELOAD_SUCCESSFUL, Some(0.0)).await;
    assert!(status(&balancer).contains("not reloaded: the file needs a restart"));
}

#[tokio::test]
async fn what_envoy_refuses_changes_nothing_either() {
    let world = World::group(&["paris"], "").await;
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, "no certificate").unwrap();
    let bad = of(&world, &["tokyo"], "")
        .replace("http://", "https://")
        .replace("sk-tokyo", &format!("sk-tokyo, ssl_verify: {}", ca.display()));
    world.balancer.replace_file(&bad);
    world.balancer.says("not reloaded: Envoy rejected it").await;
    shows(&world.balancer, &format!(r#"{RELOAD_ERROR}{{reason="rejected_by_envoy"}}"#), Some(1.0)).await;
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    world.balancer.replace_file(&of(&world, &["paris", "oslo"], "router_settings: {num_retries: 1}\n"));
    world.balancer.says("1 deployment added (oslo); settings changed").await;
    until_served_by(&world, "oslo").await;
}

#[tokio::test]
async fn what_could_not_be_served_is_tried_again_until_it_can() {
    let world = World::group(&["paris"], "").await;
    // As where the folder for temporary files is full.
    let unwritable = world.balancer.runtime_folder().join("clusters.new");
    fs::create_dir(&unwritable).unwrap();
    let metrics = unwritable.with_file_name("gauges.new");
    fs::create_dir(&metrics).unwrap();
    world.balancer.replace_file(&of(&world, &["tokyo"], ""));
    world.balancer.says("keeping the previous configuration; trying again every 5 s").await;
    // Longer than that, and said once.
    sleep(Duration::from_secs(6)).await;
    assert_eq!(world.balancer.log().matches("not reloaded: cannot write").count(), 1);
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    fs::remove_dir(&metrics).unwrap();
    shows(&world.balancer, &format!(r#"{RELOAD_ERROR}{{reason="unavailable"}}"#), Some(1.0)).await;
    fs::remove_dir(&unwritable).unwrap();
    until_served_by(&world, "tokyo").await;
    world.balancer.says("reloaded (configuration 2): 1 deployment added (tokyo)").await;
}

#[tokio::test]
async fn what_envoy_refuses_at_the_start_ends_it() {
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, "no certificate").unwrap();
    let bad = format!("model_list:\n{}", item("gpt", "paris", &format!(", ssl_verify: {}", ca.display())))
        .replace("PROVIDER", "https://127.0.0.1:1");
    let refusal = Launch::new(&bad).refused().await;
    assert_eq!(refusal.status.code(), Some(1), "{}", refusal.output);
    assert!(refusal.output.contains("Envoy rejected the configuration"), "{}", refusal.output);
    assert!(refusal.output.contains("ca.pem"), "Envoy's own reason: {}", refusal.output);
}
