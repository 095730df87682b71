//! The dashboard and the alerts in `envoy/grafana`, with a real Prometheus that watches two
//! instances at work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use llm_balancer_integration::fleet::pair;
use llm_balancer_integration::prometheus::{encoded, program};
use llm_balancer_integration::{Answer, Client, Fleet, Prometheus, Redis, free_port, item};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What may well be zero all the time in a run without a bug or a loss.
const MAY_BE_ZERO: [&str; 3] = ["Filter restarts", "Connections over the limit", "Rejected configurations"];
/// What has no series before a file asks for affinity, a reload replaces a configuration, or one fails.
/// Prometheus only accepts these queries here.
const MAY_BE_ABSENT: [&str; 3] = ["Affinity", "Replaced configurations", "Files that are not served"];
/// Between two scrapes there is a second, so this holds several of them.
const RATE_INTERVAL: &str = "10s";

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/grafana")).join(name)
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(file("llm-balancer.json")).expect("the dashboard is there");
    serde_json::from_str(&text).expect("the dashboard is JSON")
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().into_iter().flatten().filter(|panel| panel["type"] != "row").collect()
}

/// Every panel's title with each of its queries.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let all = panels(dashboard).into_iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            (panel["title"].as_str().unwrap_or_default(), target["expr"].as_str().unwrap_or_default())
        })
    });
    all.collect()
}

/// A query as Grafana sends it when these are chosen, of all jobs and instances.
fn chosen(query: &str, group: &str, deployment: &str) -> String {
    let query = query.replace("$__rate_interval", RATE_INTERVAL);
    let query = query
        .replace("$job", ".*")
        .replace("$instance", ".*")
        .replace("$group", group)
        .replace("$deployment", deployment);
    assert!(!query.contains('$'), "a variable that Grafana would not know: {query}");
    query
}

/// Two instances that share a Redis. `shaky` has a failing half, which cools down now and then,
/// `limited` falls back, `dead` is not there, `slow` takes its time, `narrow` has had enough at
/// once.
async fn fleet(redis: &Redis) -> Fleet {
    let config = format!(
        "model_list:\n{}{}{}{}{}{}{}router_settings: {{redis_host: 127.0.0.1, redis_port: REDIS, num_retries: 2, retry_after: 0, cooldown_time: 2, fallbacks: [{{limited: [gpt]}}]}}\n",
        pair("gpt", ", rpm: 100000, tpm: 10000000"),
        item("shaky", "shaky-bad", ""),
        item("shaky", "shaky-good", ""),
        item("limited", "limited", ""),
        item("narrow", "narrow", ", rpm: 5"),
        item("slow", "slow", ""),
        item("dead", "dead", "").replace("PROVIDER", &format!("http://127.0.0.1:{}", free_port())),
    );
    let fleet = Fleet::start(&config, 2, &[redis.port(), redis.port()]).await;
    fleet.provider.always("shaky-bad", Answer::status(429));
    fleet.provider.always("limited", Answer::status(503));
    fleet.provider.always("slow", Answer::ok().after(Duration::from_millis(1200)));
    fleet
}

/// A bit of everything at once, for so long.
async fn traffic(fleet: &Fleet, time: Duration) {
    let mut crowd = JoinSet::new();
    for (model, stream) in ["gpt", "shaky", "limited", "narrow", "dead", "unknown", "slow"]
        .map(|model| (model, false))
        .into_iter()
        .chain([("gpt", true)])
    {
        for instance in &fleet.instances {
            let client = Client::new(instance.port);
            crowd.spawn(async move {
                let begun = Instant::now();
                while begun.elapsed() < time {
                    client.chat_with(model, &json!({"stream": stream})).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    }
    crowd.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_what_happens() {
    let redis = Redis::start().await;
    let fleet = fleet(&redis).await;
    let admin: Vec<_> = fleet.instances.iter().map(|instance| instance.admin_port).collect();
    let prometheus = Prometheus::start(&admin, &file("alerts.yaml")).await;
    let begun = Instant::now();
    traffic(&fleet, Duration::from_secs(20)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seconds = begun.elapsed().as_secs();
    let dashboard = dashboard();

    let mut empty = Vec::new();
    for (title, query) in queries(&dashboard) {
        let series = prometheus.query(&chosen(query, ".*", ".*"), seconds).await;
        let has_data = series.iter().any(|series| shows(series, MAY_BE_ZERO.contains(&title)));
        if !has_data && !MAY_BE_ABSENT.contains(&title) {
            empty.push(format!("{title}: {query}\n  gives {series:?}"));
        }
        // Of what is chosen, and of nothing else.
        let series =
            prometheus.query(&chosen(query, "(shaky|limited)", "(shaky-good|shaky-bad)"), seconds).await;
        let foreign = |label: &str, allowed: &[&str]| {
            let values = series.iter().filter_map(|series| series["metric"][label].as_str());
            values.filter(|value| query.contains("$group") && !allowed.contains(value)).count()
        };
        assert_eq!(foreign("group", &["shaky", "limited"]), 0, "{title}: {series:?}");
        assert_eq!(foreign("deployment", &["shaky-good", "shaky-bad"]), 0, "{title}: {series:?}");
    }
    assert!(empty.is_empty(), "panels without data:\n{}", empty.join("\n"));
    assert_variables_have_choices(&dashboard, &prometheus, admin[0]).await;
    assert_nothing_is_left_out(&dashboard, &prometheus).await;
    assert_rules_are_evaluated(&prometheus).await;
}

/// Whether a series has a number in it, and one above zero where zero would say nothing.
fn shows(series: &Value, zero_will_do: bool) -> bool {
    let values = series["values"].as_array().into_iter().flatten();
    let numbers = values.filter_map(|value| value[1].as_str()?.parse::<f64>().ok());
    numbers.filter(|number| number.is_finite()).any(|number| number > 0.0 || zero_will_do)
}

async fn assert_variables_have_choices(dashboard: &Value, prometheus: &Prometheus, admin_port: u16) {
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance", "group", "deployment"]);
    let instance = format!("127.0.0.1:{admin_port}");
    for (variable, wanted) in variables[1..].iter().zip(["llm-balancer", &instance, "shaky", "shaky-bad"]) {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        let inner = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (series, label) =
            inner.and_then(|query| query.rsplit_once(", ")).expect("label_values(series, label)");
        let series = encoded(&chosen(series, "shaky", ".*"));
        let values = prometheus.get(&format!("/api/v1/label/{label}/values?match[]={series}")).await;
        assert!(values.as_array().unwrap().contains(&json!(wanted)), "{query}: {values}");
    }
}

/// Every metric of ours that was scraped is on the dashboard.
async fn assert_nothing_is_left_out(dashboard: &Value, prometheus: &Prometheus) {
    let scraped = prometheus.get("/api/v1/label/__name__/values").await;
    let names = scraped.as_array().into_iter().flatten().filter_map(Value::as_str);
    let ours: BTreeSet<_> = names
        .filter(|name| name.starts_with("llm_balancer_"))
        // For `serve`, at the end of an instance.
        .filter(|name| *name != "llm_balancer_deregistered_total")
        // Of a histogram the buckets will do.
        .filter(|name| !name.ends_with("_milliseconds_sum") && !name.ends_with("_milliseconds_count"))
        .collect();
    let shown: String = queries(dashboard).into_iter().map(|(_, query)| query).collect();
    let missing: Vec<_> = ours.iter().filter(|name| !shown.contains(**name)).collect();
    assert!(missing.is_empty() && ours.len() > 15, "not on the dashboard: {missing:?}; scraped: {ours:?}");
}

async fn assert_rules_are_evaluated(prometheus: &Prometheus) {
    let groups = prometheus.get("/api/v1/rules").await["groups"].clone();
    let rules: Vec<_> = groups[0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() > 5 && rules.iter().all(|rule| rule["health"] == "ok"), "{groups:#}");
}

#[test]
fn the_dashboard_is_one_that_grafana_can_show() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(38), "that of Grafana 10 or later");
    let all = dashboard["panels"].as_array().unwrap();
    let rows: Vec<_> = all.iter().filter(|panel| panel["type"] == "row").map(|row| &row["title"]).collect();
    assert_eq!(
        rows,
        ["Traffic", "Latency", "Errors and refusals", "Limits", "Deployments", "Redis", "Envoy"]
    );
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), all.len(), "ids are unique");
    let mut taken = BTreeSet::new();
    for panel in all {
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place on the grid");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
    }
    for (title, query) in queries(&dashboard) {
        let metrics = query.matches("{").count();
        let chosen = query.matches(r#"job=~"$job", instance=~"$instance"}"#).count();
        assert!(metrics > 0 && chosen == metrics, "not of the chosen instances: {title}: {query}");
    }
    for panel in panels(&dashboard) {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]] {
        promtool(&arguments, &file(""));
    }
}

/// As during a rollout: one instance still sends a deployment's requests to the old address.
#[test]
fn the_table_of_deployments_shows_one_that_two_instances_send_to_different_addresses() {
    let series = |name: &str, labels: &str, values: &str| json!({"series": format!(r#"llm_balancer_{name}{{group="g", deployment="paris", {labels}}}"#), "values": values});
    let mut input = vec![
        series("cooling_down", r#"instance="a""#, "1x40"),
        series("cooldown_end_timestamp_seconds", r#"instance="a""#, "700x40"),
    ];
    for (instance, address) in [("a", "x"), ("b", "y")] {
        let label = |other: &str| format!(r#"instance="{instance}", {other}"#);
        let bucket = "time_to_first_byte_milliseconds_bucket";
        input.extend([
            series("deployment_info", &label(&format!(r#"api_base="{address}""#)), "1x40"),
            series("attempts_total", &label(r#"outcome="success""#), "0+30x40"),
            series(bucket, &label(r#"le="100""#), "0+30x40"),
            series(bucket, &label(r#"le="+Inf""#), "0+30x40"),
        ]);
    }
    let dashboard = dashboard();
    let rows = queries(&dashboard).into_iter().filter(|(title, _)| *title == "Deployments").map(|(_, query)| {
        let rows = format!("count by (group) ({})", chosen(query, ".*", ".*"));
        json!({"expr": rows, "eval_time": "1m", "exp_samples": [{"labels": r#"{group="g"}"#, "value": 2}]})
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 6);
    assert_queries(&input, &rows);
}

/// Above 1,000 deployments a gauge is first published with another value than 0.
#[test]
fn the_timeline_of_cooldowns_has_deployments_that_never_cooled_down() {
    let series =
        |name: &str, values: &str| json!({"series": format!(r#"llm_balancer_{name}"#), "values": values});
    let input = [
        series(r#"deployment_info{group="g", deployment="paris", instance="a"}"#, "1x40"),
        series(r#"deployment_info{group="g", deployment="oslo", instance="a"}"#, "1x40"),
        series(r#"cooling_down{group="g", deployment="oslo", instance="a"}"#, "_x10 1x30"),
    ];
    let dashboard = dashboard();
    let timeline = queries(&dashboard).into_iter().find(|(title, _)| *title == "Cooling down");
    let query = chosen(timeline.expect("the panel").1, ".*", ".*");
    let sample = |deployment: &str, value: u8| json!({"labels": format!(r#"{{group="g", deployment="{deployment}"}}"#), "value": value});
    let at = |time: &str, oslo: u8| json!({"expr": query, "eval_time": time, "exp_samples": [sample("oslo", oslo), sample("paris", 0)]});
    assert_queries(&input, &[at("10s", 0), at("1m", 1)]);
}

/// Has promtool compare queries of these series with what they must return.
fn assert_queries(input: &[Value], queries: &[Value]) {
    let test = json!({"interval": "2s", "input_series": input, "promql_expr_test": queries});
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("queries.yaml"), json!({"tests": [test]}).to_string()).unwrap();
    promtool(&["test", "rules", "queries.yaml"], folder.path());
}

fn promtool(arguments: &[&str], folder: &Path) {
    let output = Command::new(program("promtool")).args(arguments).current_dir(folder).output();
    let output = output.expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
