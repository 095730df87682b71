//! The status page in a real browser, and the same figures by `llm-balancer status`, held against
//! what the provider has counted. `make chromium` installs the browser.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use llm_balancer_integration::{
    Answer, Balancer, Browser, Launch, World, eventually, free_port, item, minute,
};
use serde_json::{Value, json};

/// Functions of a deployment's id and of a group's name: what its row says, by the titles of columns.
const ROW: &str = "
globalThis.cells = (tr) => tr && { name: tr.firstChild.innerText, ...Object.fromEntries([...tr.querySelectorAll('td')].map((td) =>
  [td.dataset.title, td.innerText.trim() + (td.title ? ` (${td.title})` : '')])) };
globalThis.row = (id) => cells([...document.querySelectorAll('tr.deployment')].find((tr) => tr.firstChild.title.split('\\n')[0] === id));
globalThis.group = (name) => cells([...document.querySelectorAll('tr.group')].find((tr) => tr.querySelector('button').textContent === name));
globalThis.choose = (id, value) => {
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event(id === 'search' ? 'input' : 'change'));
};
true";

async fn page(balancer: &Balancer) -> Browser {
    let mut browser = Browser::open(&balancer.page()).await;
    browser.eval(ROW).await;
    browser.until("document.getElementById('state').textContent.includes('serving')").await;
    // All rows are in view.
    browser.view(1400, 2400, false).await;
    browser.eval("choose('window', '0')").await;
    browser
}

async fn row(browser: &mut Browser, id: &str) -> BTreeMap<String, String> {
    let row = browser.eval(&format!("row({})", json!(id))).await;
    serde_json::from_value(row).unwrap_or_default()
}

/// Waits until a cell has these words in it. `of` is `row('paris')` or `group('gpt')`.
async fn says(browser: &mut Browser, of: &str, column: &str, words: &str) {
    let (column, words) = (json!(column), json!(words));
    browser.until(&format!("({of}?.[{column}] ?? '').includes({words})")).await;
}

fn status(balancer: &Balancer, args: &[&str]) -> Output {
    let mut command = Command::new(Balancer::binary());
    command.args(["status", "--metrics", &balancer.page()]).args(args).output().unwrap()
}

/// What `status` prints about a group.
fn table(balancer: &Balancer, group: &str) -> String {
    let output = status(balancer, &["--group", group]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const SETTINGS: &str =
    "router_settings: {num_retries: 2, retry_after: 0, cooldown_time: 120, fallbacks: [{lost: [gpt]}]}\n";

/// `oslo` is rate limited, `lima` has a limit of five requests, `rome` fails, and `cairo` streams.
async fn world() -> World {
    let config = [
        "model_list:\n".to_owned(),
        item("gpt", "paris", ", weight: 3"),
        item("gpt", "oslo", ", weight: 1"),
        item("narrow", "lima", ", rpm: 5"),
        item("lost", "rome", ""),
        item("slow", "cairo", ""),
        SETTINGS.to_owned(),
    ];
    let world = World::new(&config.concat()).await;
    world.provider.always("oslo", Answer::status(429));
    world.provider.always("rome", Answer::status(503));
    world.provider.always("cairo", Answer::ok().events(20).hang_after(3));
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_says_is_what_the_provider_has_counted() {
    let world = world().await;
    let mut browser = page(&world.balancer).await;
    minute::with_room_for(Duration::from_secs(50)).await;
    let served = world.crowd(4, 60, "gpt").await;
    assert!(served.iter().all(|reply| reply.status == 200));
    let narrow = world.crowd(2, 8, "narrow").await.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(narrow, 5);
    world.crowd(1, 3, "lost").await;
    let body = json!({"model": "slow", "messages": [], "stream": true});
    let _stream = world.stream("/v1/chat/completions", &body).await;

    let count = |name: &str| world.provider.received_by(name).len();
    // A send counts when it has ended; that to cairo is in flight.
    for name in ["paris", "oslo", "lima", "rome"] {
        let sends = format!("({} send{})", count(name), if count(name) == 1 { "" } else { "s" });
        says(&mut browser, &format!("row('{name}')"), "Requests/s", &sends).await;
    }
    assert_the_rows(&mut browser, &world, count("oslo")).await;
    assert_the_table(&world, count("oslo"), count("rome"));
    assert_eq!(browser.complaints().await, [""; 0]);
    assert_reload(&mut browser, &world).await;
    world.balancer.kill();
    browser.until("document.getElementById('state').textContent.startsWith('✕ gone')").await;
    browser.until("document.title === 'llm-balancer is gone'").await;
    assert_eq!(browser.eval("Boolean(row('paris'))").await, true, "the last figures stay");
}

async fn assert_the_rows(browser: &mut Browser, world: &World, oslo: usize) {
    assert!(oslo > 0, "a cooldown needs a failure");
    says(browser, "group('gpt')", "Requests/s", "(60 requests)").await;
    says(browser, "group('gpt')", "Success", "100 %").await;
    let paris = row(browser, "paris").await;
    assert!(paris["Share"].contains("weight 75 %"), "{paris:?}");
    assert_eq!(paris["In flight"], "0");
    // Envoy updates histograms every five seconds.
    for times in ["Duration", "First byte"] {
        says(browser, "row('paris')", times, "ms\np99 ").await;
    }
    let failed = row(browser, "oslo").await;
    assert!(failed["name"].contains("❄ cooling down") && failed["name"].contains(" s"), "{failed:?}");
    let notes = &failed["Errors, retries, fallbacks"];
    for words in [format!("rate limit {oslo}"), format!("{oslo} retried"), "1 cooldown".to_owned()] {
        assert!(notes.contains(&words), "{words} in {notes}");
    }
    assert_eq!(failed["Success"], "0 %");
    let full = row(browser, "lima").await;
    assert!(full["rpm"].starts_with("5\nof 5") && full["name"].contains("■ limit reached"), "{full:?}");
    says(browser, "group('narrow')", "Errors, retries, fallbacks", "refused: over limit 3").await;
    says(browser, "group('lost')", "Errors, retries, fallbacks", "→ gpt 3").await;
    says(browser, "row('cairo')", "In flight", "1").await;
    let tokens = row(browser, "paris").await["Tokens/min"].clone();
    // The provider says that each answer took 5 and 7.
    let answered = world.provider.received_by("paris").len();
    assert!(tokens.contains(&format!("({} tokens)", answered * 12)), "{tokens}");
}

/// `status` prints the same.
fn assert_the_table(world: &World, oslo: usize, lost: usize) {
    let gpt = table(&world.balancer, "gpt");
    assert!(gpt.contains("serving, configuration 1, up ") && gpt.contains("\nno Redis\n"), "{gpt}");
    let words = ["cooling down for ", &format!("rate limit {oslo}, {oslo} retried"), "/75 ", "\ngpt "];
    assert!(words.iter().all(|words| gpt.contains(words)), "{gpt}");
    assert!(gpt.lines().all(|line| line.chars().count() <= 80), "{gpt}");
    let narrow = table(&world.balancer, "narrow");
    assert!(narrow.contains(" 5/5 ") && narrow.contains("refused: over limit 3"), "{narrow}");
    let fallbacks = table(&world.balancer, "lost");
    assert!(fallbacks.contains("-> gpt 3") && fallbacks.contains(&format!("server {lost}")), "{fallbacks}");
    assert!(
        table(&world.balancer, "slow")
            .lines()
            .any(|line| line.starts_with("  cairo") && line.contains("  1 "))
    );
    let unknown = status(&world.balancer, &["--group", "other"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no group \"other\""), "{unknown:?}");
}

async fn assert_reload(browser: &mut Browser, world: &World) {
    let config = format!("model_list:\n{}{}{SETTINGS}", item("gpt", "paris", ""), item("gpt", "bonn", ""));
    world.balancer.replace_file(&config.replace("PROVIDER", &world.provider.origin()));
    world.balancer.says("reloaded").await;
    browser.until("document.getElementById('facts').textContent.includes('configuration 2')").await;
    browser.until("document.getElementById('facts').textContent.includes('previous configuration still has requests')").await;
    browser.until("row('bonn') && !row('oslo') && row('paris').Share.includes('weight 50 %')").await;
    browser.until("document.querySelectorAll('.event').length >= 1").await;
    let facts = "document.getElementById('facts').textContent";
    browser.until(&format!("{facts}.includes('version {}')", env!("CARGO_PKG_VERSION"))).await;
    world.balancer.replace_file("model_list: []\nrouter_settings: {routing_strategy: telepathy}\n");
    browser
        .until(&format!("/not reloaded: .*config.yaml:\\d+ is invalid; serving the file of /.test({facts})"))
        .await;
}

#[tokio::test]
async fn status_says_when_nothing_answers() {
    let port = free_port();
    let mut command = Command::new(Balancer::binary());
    let output = command.args(["status", "--metrics", &format!("http://127.0.0.1:{port}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("no answer from http://127.0.0.1:{port}/stats/prometheus")), "{said}");
}

#[tokio::test]
async fn a_name_with_html_in_it_is_shown_as_text() {
    let group = r#"<img src=x onerror=alert(1)>"'&amp __proto__"#;
    let config = json!({"model_list": [
        {"model_name": group, "litellm_params": {"model": "openai/<b>m</b>", "api_key": "sk-of-the-file", "api_base": "http://127.0.0.1:1/v1"}, "model_info": {"id": "</script><script>throw 1</script>"}},
        {"model_name": "constructor", "litellm_params": {"model": "openai/m", "api_key": "sk-of-the-file", "api_base": "http://127.0.0.1:1/v1"}, "model_info": {"id": "__proto__"}},
    ]});
    let balancer = Launch::new(&config.to_string()).start().await;
    let mut browser = page(&balancer).await;
    for name in [group, "constructor"] {
        browser.until(&format!("Boolean(group({}))", json!(name))).await;
    }
    for id in ["</script><script>throw 1</script>", "__proto__"] {
        browser.until(&format!("Boolean(row({}))", json!(id))).await;
    }
    assert_eq!(browser.eval("document.querySelectorAll('img, b').length").await, 0);
    assert_eq!(browser.eval("document.scripts.length").await, 1);
    let page = browser.eval("document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains("sk-of-the"), "no secret appears");
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.eval(&format!("choose('group', {})", json!(group))).await;
    browser.until("document.querySelectorAll('tr.group').length === 1").await;
    // The policy holds: what was not in the file does not run.
    let injected = "(() => { const s = document.createElement('script'); try { s.textContent = 'globalThis.ran = 1'; document.body.append(s); } catch {} return globalThis.ran })()";
    assert_eq!(browser.eval(injected).await, Value::Null);
}

/// A thousand deployments in twenty groups, each of which has been used.
async fn thousand() -> World {
    let names = |group: usize| (0..50).map(move |number| format!("d{}", group * 50 + number));
    let items = (0..20)
        .flat_map(|group| names(group).map(move |name| item(&format!("g{group}"), &name, ", rpm: 6000")));
    let world = World::new(&format!("model_list:\n{}", items.collect::<String>())).await;
    for group in 0..20 {
        world.crowd(8, 250, &format!("g{group}")).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_rows_in_view_of_a_thousand_deployments_are_drawn() {
    let world = thousand().await;
    let mut browser = Browser::open(&world.balancer.page()).await;
    browser.eval(ROW).await;
    browser
        .until("document.querySelectorAll('tr.deployment').length === 1000 && timing.series > 35000")
        .await;
    let drawn = "document.querySelectorAll('tr.deployment td:first-of-type').length";
    assert!(browser.eval(drawn).await.as_u64() < Some(100), "only rows in view are drawn");
    browser.eval("document.querySelector('tbody:last-of-type tr:last-child').scrollIntoView(), true").await;
    browser.until("document.querySelector('tbody:last-of-type tr:last-child td') !== null").await;
    browser.eval("choose('search', 'd777'), true").await;
    browser.until("document.querySelectorAll('tr.deployment').length === 1 && Boolean(row('d777'))").await;
    let sends = match world.provider.received_by("d777").len() {
        1 => "(1 send)".to_owned(),
        sends => format!("({sends} sends)"),
    };
    browser.eval("choose('window', '0'), true").await;
    says(&mut browser, "row('d777')", "Requests/s", &sends).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn the_page_is_used_by_keyboard_and_fits_a_phone() {
    let world = World::group(&["paris", "oslo", "rome"], "").await;
    world.provider.always("rome", Answer::ok().using(500, 500));
    world.crowd(1, 30, "gpt").await;
    let mut browser = page(&world.balancer).await;
    browser.until("document.querySelectorAll('tr.deployment').length === 3").await;
    let order = "[...document.querySelectorAll('tr.deployment .name')].map((it) => it.textContent).join()";
    assert_eq!(browser.eval(order).await, "oslo,paris,rome");
    browser.press("/").await;
    assert_eq!(browser.eval("document.activeElement.id").await, "search");
    browser.press("r").await;
    browser.press("o").await;
    browser.until("document.querySelectorAll('tr.deployment').length === 1").await;
    browser.press("Escape").await;
    browser.until("document.querySelectorAll('tr.deployment').length === 3").await;
    // By tokens: the sixth title.
    let focused = "document.activeElement.textContent";
    for _ in 0..20 {
        if browser.eval(focused).await == "Tokens/min" {
            break;
        }
        browser.press("Tab").await;
    }
    browser.press("Enter").await;
    browser.until(&format!("({order}).startsWith('rome')")).await;
    assert_eq!(browser.eval("document.querySelector('[aria-sort]').textContent").await, "Tokens/min");
    browser.eval("document.querySelector('tr.group button').focus(), true").await;
    browser.press("Enter").await;
    assert_eq!(browser.eval("document.querySelector('tr.deployment').hidden").await, true);
    browser.press("Enter").await;
    for (width, dark) in [(390, true), (700, false), (1400, true)] {
        browser.view(width, 844, dark).await;
        let fits = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.eval(fits).await, true, "{width}");
    }
    let ground = "getComputedStyle(document.body).backgroundColor";
    let dark = browser.eval(ground).await;
    browser.view(1400, 844, false).await;
    assert_ne!(browser.eval(ground).await, dark, "the system's color scheme");
}

#[tokio::test]
async fn the_script_reads_prometheus_text_as_it_is_meant() {
    let balancer =
        Launch::new("model_list: [{model_name: g, litellm_params: {model: openai/m, api_key: k}}]")
            .start()
            .await;
    let mut browser = page(&balancer).await;
    let labels = browser.eval(r#"parseLabels('{a="x\\"y\\\\z",b="{1, 2}\\n",le="+Inf"}')"#).await;
    assert_eq!(labels, json!({"a": "x\"y\\z", "b": "{1, 2}\n", "le": "+Inf"}));
    let quantiles =
        "[0.25, 0.5, 0.7, 0.99].map((q) => quantile(q, [[100, 0], [200, 50], [1000, 90], [Infinity, 100]]))";
    assert_eq!(browser.eval(quantiles).await, json!([150, 200, 600, 1000]));
    assert_eq!(browser.eval("quantile(0.5, [[100, 0], [Infinity, 0]]) === undefined").await, true);
    let read = "(() => { const r = new Reader(() => {}); r.read('# x\\na{} 1\\nb{l=\"1 2\"} 2\\n'); const v = r.read('b{l=\"1 2\"} 5\\nc 3'); return [Number.isNaN(v[0]), v[1], v[2]]; })()";
    assert_eq!(browser.eval(read).await, json!([true, 5, 3]));
    let words =
        "[percent(0.9999), percent(1), percent(0.00001), milliseconds(1234), span(7980), compact(123456)]";
    assert_eq!(
        browser.eval(words).await,
        json!(["99.9 %", "100 %", "< 0.1 %", "1.2 s", "2 h 13 min", "123 k"])
    );
    // Another process behind the same address: its counts begin again, and so does the time line.
    let restarted = "(() => { const text = (up, n) => `envoy_server_uptime{} ${up}\\nllm_balancer_requests_total{group=\"g\",outcome=\"success\",status=\"200\"} ${n}\\n`;
        forget(); take(text(50, 900), 0, 1e6); take(text(60, 905), 0, 1.01e6); const before = currentView().count(model.groups.get('g').own.requests[0].id);
        take(text(3, 2), 0, 1.02e6); take(text(13, 5), 0, 1.03e6); choice.window = 60; return [before, currentView().count(model.groups.get('g').own.requests[0].id), marks.length]; })()";
    browser.eval("choice.window = 60, true").await;
    assert_eq!(browser.eval(restarted).await, json!([5, 3, 2]));
}

#[tokio::test]
async fn a_page_whose_balancer_is_away_shows_it_again_when_it_is_back() {
    let world = World::group(&["paris"], "").await;
    let mut browser = page(&world.balancer).await;
    // What the network does when a balancer is away.
    browser
        .eval("globalThis.real = fetch, globalThis.fetch = () => Promise.reject(new TypeError('gone')), true")
        .await;
    browser.until("document.body.classList.contains('gone')").await;
    browser.eval("globalThis.fetch = real, true").await;
    browser.until("document.getElementById('state').textContent === '● serving' && !document.body.classList.contains('gone')").await;
    assert!(eventually(async || browser.eval("document.title").await == "llm-balancer").await);
}
