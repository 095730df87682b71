//! Which deployment cools down after a failure, for how long, on every worker; and what clients get
//! when none is left.

#[path = "../../router/tests/failures/rules.rs"]
mod rules;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use llm_balancer_integration::{Answer, Client, World, item};
use rules::{RULES, Rule};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

const WORKERS: u8 = 4;

/// So much later a busy machine may notice that a cooldown is over.
const SLACK: Duration = Duration::from_secs(1);

/// A group of this name: `<name>-first`, which gets every request that it may, and `<name>-second`.
fn pair(name: &str, params: &str) -> String {
    item(name, &format!("{name}-first"), &format!(", weight: 1000000{params}"))
        + &item(name, &format!("{name}-second"), ", weight: 1")
}

async fn four_workers(items: &str, router_settings: &str) -> World {
    let config = format!("model_list:\n{items}router_settings: {{{router_settings}}}\n");
    World::with_workers(WORKERS, &config).await
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Asks on new connections, which any worker may accept, until the first of a pair serves again;
/// says when that was.
async fn returned(port: u16, group: &str) -> Instant {
    let first = format!("{group}-first");
    for _ in 0..500 {
        if Client::new(port).chat(group).await.served_by() == first {
            return Instant::now();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{first} never came back");
}

/// One request that makes the first of a pair cool down, and what clients see of it.
struct Absence {
    asked: Instant,
    answered: Instant,
    back: Instant,
}

async fn absence(port: u16, group: String) -> Absence {
    let asked = Instant::now();
    let reply = Client::new(port).chat(&group).await;
    let answered = Instant::now();
    assert_eq!(reply.served_by(), format!("{group}-second"));
    Absence { asked, answered, back: returned(port, &group).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_asks_for_time_gets_exactly_that_from_every_worker() {
    const OWN: &str = "- {model_name: own, litellm_params: {model: openai/m, api_base: PROVIDER/own-first/v1, api_key: k, weight: 1000000}, model_info: {id: own-first, cooldown_time: 2}}\n";
    let limited = || Answer::status(429);
    let cases = [
        ("seconds", limited().retry_after("3"), 3.0),
        ("fraction", limited().retry_after("1.5"), 1.5),
        ("milliseconds", limited().header("retry-after-ms", "2500"), 2.5),
        ("both", limited().header("retry-after-ms", "1200").retry_after("4"), 1.2),
        ("unsaid", limited(), 1.0),
        ("params", limited().retry_after("1"), 3.0),
        ("own", limited().retry_after("9"), 2.0),
    ];
    let items: String = cases[..5].iter().map(|(group, ..)| pair(group, "")).collect();
    let items =
        items + &pair("params", ", cooldown_time: 3") + OWN + &item("own", "own-second", ", weight: 1");
    let world = four_workers(&items, "cooldown_time: 1").await;
    let mut absences = JoinSet::new();
    for (group, answer, time) in cases {
        world.provider.script(&format!("{group}-first"), [answer]);
        let absence = absence(world.balancer.port, group.to_owned());
        absences.spawn(async move { (group, seconds(time), absence.await) });
    }
    for (group, time, Absence { asked, answered, back }) in absences.join_all().await {
        assert!(back >= asked + time, "{group} came back after {:?} of {time:?}", back - asked);
        assert!(back <= answered + time + SLACK, "{group} came back after {:?} of {time:?}", back - answered);
    }
}

#[tokio::test]
async fn a_provider_may_ask_for_time_until_a_date() {
    let world = four_workers(&pair("date", ""), "cooldown_time: 1").await;
    let date =
        UNIX_EPOCH + Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3);
    world.provider.script("date-first", [Answer::status(429).retry_after(&httpdate::fmt_http_date(date))]);
    absence(world.balancer.port, "date".into()).await;
    let late = SystemTime::now().duration_since(date).expect("it came back too early");
    assert!(late < SLACK, "{late:?} too late");
}

#[tokio::test]
async fn the_later_of_two_deadlines_stands() {
    let world = four_workers(&pair("gpt", ""), "").await;
    let slowly = |answer: Answer| answer.after(Duration::from_millis(300));
    let asked = Answer::status(429);
    world.provider.script("gpt-first", [asked.clone().retry_after("3"), slowly(asked.retry_after("1"))]);
    let port = world.balancer.port;
    let (one, other) = tokio::join!(absence(port, "gpt".into()), absence(port, "gpt".into()));
    for absence in [one, other] {
        assert!(absence.back >= absence.asked + seconds(3.0), "{:?}", absence.back - absence.asked);
    }
}

impl Rule {
    fn answer(&self) -> Answer {
        let answer = Answer::status(self.status);
        if self.body.is_empty() { answer } else { answer.body(self.body) }
    }
}

/// The rules with a name each.
fn rules() -> impl Iterator<Item = (String, Rule)> {
    RULES.into_iter().enumerate().map(|(nth, rule)| (format!("rule-{nth}"), rule))
}

#[tokio::test]
async fn errors_that_a_retry_would_meet_again_cool_at_once_and_those_of_the_request_never() {
    let items: String = rules().map(|(name, _)| pair(&name, "")).collect();
    let world = four_workers(&items, "cooldown_time: 60").await;
    for (name, rule) in rules() {
        let first = format!("{name}-first");
        world.provider.script(&first, [rule.answer()]);
        for _ in 0..9 {
            world.newcomer().chat(&name).await;
        }
        let calls = world.provider.received_by(&first).len();
        assert_eq!(calls == 1, rule.cools_in_group, "{} {}: {calls} calls", rule.status, rule.body);
    }
}

#[tokio::test]
async fn the_only_deployment_of_a_group_cools_down_for_a_wrong_key_or_name_and_not_for_load() {
    let items: String = rules().map(|(name, _)| item(&name, &name, "")).collect();
    let world = four_workers(&items, "cooldown_time: 60, num_retries: 0").await;
    for (name, rule) in rules() {
        world.provider.always(&name, rule.answer());
        for _ in 0..12 {
            world.newcomer().chat(&name).await;
        }
        let calls = if rule.cools_alone { 1 } else { 12 };
        assert_eq!(world.provider.received_by(&name).len(), calls, "{} {}", rule.status, rule.body);
    }
}

#[tokio::test]
async fn more_than_half_of_at_least_five_failures_cool_whichever_workers_saw_them() {
    let items = pair("all", "") + &pair("half", "") + &pair("refused", "");
    let world = four_workers(&items, "cooldown_time: 60, num_retries: 1").await;
    let failing = || Answer::status(500);
    world.provider.always("all-first", failing());
    world.provider.always("half-first", failing());
    let alternating = [Answer::ok(), failing(), Answer::ok(), failing(), Answer::ok(), failing(), failing()];
    world.provider.script("half-first", alternating);
    world.provider.always("refused-first", Answer::ok().reset());
    for (group, calls) in [("all", 5), ("refused", 5)] {
        for _ in 0..12 {
            assert_eq!(world.newcomer().chat(group).await.status, 200);
        }
        assert_eq!(world.provider.received_by(&format!("{group}-first")).len(), calls, "{group}");
    }
    // One worker, because successes are handed in by each of them within a second.
    for _ in 0..12 {
        world.chat("half").await;
    }
    assert_eq!(world.provider.received_by("half-first").len(), 7, "three of six are not more than half");
}

#[tokio::test]
async fn allowed_fails_and_policies_take_the_place_of_the_rule() {
    const POLICY: &str = "- {model_name: own, litellm_params: {model: openai/m, api_base: PROVIDER/own-first/v1, api_key: k, weight: 1000000}, model_info: {id: own-first, allowed_fails_policy: {BadRequestErrorAllowedFails: 1}}}\n";
    let own = POLICY.to_owned() + &item("own", "own-second", ", weight: 1");
    let settings = "cooldown_time: 60, num_retries: 1";
    let cases = [
        (pair("gpt", ""), "allowed_fails: 2", "gpt", 500, 3),
        (pair("gpt", ""), "allowed_fails: 2", "gpt", 429, 3),
        (pair("gpt", ""), "allowed_fails: 0", "gpt", 500, 1),
        (pair("gpt", ""), "allowed_fails_policy: {RateLimitErrorAllowedFails: 4}", "gpt", 429, 5),
        (pair("gpt", ""), "allowed_fails_policy: {InternalServerErrorAllowedFails: 1}", "gpt", 500, 2),
        (own, "num_retries: 1", "own", 400, 2),
    ];
    let mut all = JoinSet::new();
    for (items, rule, group, status, calls) in cases {
        let rule = if rule.starts_with("num") { settings.to_owned() } else { format!("{settings}, {rule}") };
        all.spawn(async move {
            let world = four_workers(&items, &rule).await;
            let first = format!("{group}-first");
            world.provider.always(&first, Answer::status(status));
            for _ in 0..10 {
                world.newcomer().chat(group).await;
            }
            assert_eq!(world.provider.received_by(&first).len(), calls, "{status} with {rule}");
        });
    }
    all.join_all().await;
}

#[tokio::test]
async fn nobody_sits_out_where_cooldowns_are_switched_off() {
    let zero = pair("zero", ", cooldown_time: 0");
    let world = four_workers(&zero, "").await;
    let off = four_workers(&pair("zero", ""), "disable_cooldowns: true").await;
    for world in [world, off] {
        for answer in [Answer::status(429).retry_after("30"), Answer::status(401)] {
            world.provider.always("zero-first", answer);
            for _ in 0..10 {
                assert_eq!(world.newcomer().chat("zero").await.status, 200);
            }
        }
        assert_eq!(world.provider.received_by("zero-first").len(), 20);
    }
}

#[tokio::test]
async fn every_attempt_counts_and_when_all_sit_out_clients_are_told_until_when() {
    let names = ["paris", "virginia", "tokyo"];
    let items: String = names.iter().map(|name| item("gpt", name, "")).collect();
    let items = items + &pair("other", "");
    let world = four_workers(&items, "").await;
    world.provider.script("other-first", [Answer::status(429).retry_after("60")]);
    world.chat("other").await;
    for (name, wait) in names.into_iter().zip(["4", "60", "60"]) {
        world.provider.always(name, Answer::status(429).retry_after(wait));
    }
    world.provider.forget();
    let asked = Instant::now();
    let reply = world.chat("gpt").await;
    let answered = Instant::now();
    assert_eq!((reply.status, reply.retries()), (429, 2), "{}", reply.text());
    assert_eq!(world.provider.calls().len(), 3);
    for pause in [0, 1700] {
        sleep(Duration::from_millis(pause)).await;
        for _ in 0..6 {
            let most = (asked + seconds(4.0)).saturating_duration_since(Instant::now());
            let reply = world.newcomer().chat("gpt").await;
            let least = (asked + seconds(4.0)).saturating_duration_since(Instant::now());
            let error = reply.error(429);
            assert_eq!(error["type"], json!("all_deployments_in_cooldown"));
            let message = error["message"].as_str().unwrap();
            let told: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!(message.contains(&format!("Try again in {told} seconds.")), "{message}");
            assert!(names.iter().all(|name| message.contains(&format!("'{name}'"))), "{message}");
            assert!(!message.contains("other"), "{message}");
            // The cooldown began between the question and the answer.
            let (most, least) =
                ((most + (answered - asked)).as_secs_f64().ceil(), least.as_secs_f64().ceil());
            assert!((least..=most).contains(&(told as f64)), "told {told} of {least} to {most}");
            assert_eq!(reply.retries(), 0);
        }
    }
    assert_eq!(world.provider.calls().len(), 3, "a deployment that cools down was called");
    world.provider.always("paris", Answer::ok());
    sleep((answered + seconds(4.1)).saturating_duration_since(Instant::now())).await;
    assert_eq!(world.newcomer().chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn a_client_that_names_the_deployment_itself_gets_it() {
    let world = four_workers(&pair("gpt", ""), "cooldown_time: 60").await;
    world.provider.script("gpt-first", [Answer::status(429)]);
    assert_eq!(world.chat("gpt").await.served_by(), "gpt-second");
    assert_eq!(world.newcomer().chat("gpt-first").await.served_by(), "gpt-first");
    assert_eq!(world.newcomer().chat("gpt").await.served_by(), "gpt-second");
}

#[tokio::test]
async fn wildcards_sit_out_as_well_and_one_model_of_theirs_makes_it_for_all() {
    let items = "\
- {model_name: 'any/*', litellm_params: {model: 'openai/*', api_base: PROVIDER/paris/v1, api_key: k, weight: 1000000}, model_info: {id: paris}}
- {model_name: 'any/*', litellm_params: {model: 'openai/*', api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}, model_info: {id: virginia}}
";
    let world = four_workers(items, "cooldown_time: 60").await;
    world.provider.always("paris", Answer::status(429));
    for model in ["any/one", "any/one", "any/other", "any/other"] {
        assert_eq!(world.newcomer().chat(model).await.served_by(), "virginia");
    }
    assert_eq!(world.provider.received_by("paris").len(), 1);
}

#[tokio::test]
async fn a_timeout_that_the_client_chose_says_nothing_about_the_deployment() {
    let world = four_workers(&pair("gpt", ""), "cooldown_time: 60, allowed_fails: 0, num_retries: 1").await;
    world.provider.script("gpt-first", [Answer::ok().hang(), Answer::ok()]);
    let reply = world.chat_with("gpt", &json!({"timeout": 1.5})).await;
    assert_eq!(reply.served_by(), "gpt-second");
    assert_eq!(world.newcomer().chat("gpt").await.served_by(), "gpt-first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_half_may_fail_whichever_workers_they_come_to_and_one_more_may_not() {
    const GROUPS: usize = 8;
    let names: Vec<String> = (0..GROUPS).map(|n| format!("half{n}")).collect();
    let items: String = names.iter().map(|name| pair(name, "")).collect();
    let world = four_workers(&items, "num_retries: 0, cooldown_time: 30").await;
    for name in &names {
        let first = format!("{name}-first");
        // Succeeds and fails in turn, so that never more than half has failed.
        world
            .provider
            .script(&first, (0..12).map(|nth| if nth % 2 == 0 { Answer::ok() } else { Answer::status(500) }));
        for nth in 0..12 {
            let before = world.provider.received_by(&first).len();
            let status = if nth % 2 == 0 { 200 } else { 500 };
            assert_eq!(world.newcomer().chat(name).await.status, status, "{name}");
            let attempts = world.provider.received_by(&first).len() - before;
            assert_eq!(attempts, 1, "{name}: it cooled down after {nth} attempts");
        }
        world.provider.script(&first, [Answer::status(500)]);
        assert_eq!(world.newcomer().chat(name).await.status, 500);
        let reply = world.newcomer().chat(name).await;
        assert_eq!(reply.served_by(), format!("{name}-second"), "7 of 13 have failed");
    }
}
