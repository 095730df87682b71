//! A balancer for one run of a script, and the comparison of what the script saw with what the
//! provider received.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use llm_balancer_integration::{Answer, Received, World, item, minute};
use serde_json::Value;

/// The master key: no provider may ever see it.
pub const KEY: &str = "sk-key-of-the-house-4711";

/// Deployments that fail as their names say, each in a group of its own.
const FAILING: [(&str, u16); 7] = [
    ("refusing", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("missing", 404),
    ("limited", 429),
    ("overloaded", 529),
    ("failing", 503),
];

/// The scripts of one client.
pub struct Scripts {
    /// The program that runs it, by absolute path where it is not the system's.
    pub program: PathBuf,
    /// Its file in `integration/clients`.
    pub file: &'static str,
    /// The variable that tells the program where packages are, and the folder.
    pub packages: Option<(&'static str, PathBuf)>,
}

/// One line of a script: a feature that worked, or an error that was raised as it should be.
pub struct Seen {
    /// The name of the function in the script.
    pub feature: String,
    /// All that it says.
    pub line: Value,
    /// What the provider received for it.
    pub received: Vec<Received>,
}

/// Where `make tools` puts things.
pub fn tools(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools")).join(path)
}

impl Scripts {
    /// A script for the system's Python, with packages from this folder of `.tools`.
    pub fn python(file: &'static str, packages: &str) -> Self {
        Self { program: "python3".into(), file, packages: Some(("PYTHONPATH", tools(packages))) }
    }

    /// Runs one group of features against a balancer of its own. Panics where the script fails, and
    /// where the provider saw anything else than the script did.
    pub async fn run(&self, group: &str) -> Vec<Seen> {
        self.run_in(&world().await, group).await
    }

    /// The same against this balancer.
    pub async fn run_in(&self, world: &World, group: &str) -> Vec<Seen> {
        if group == "errors" {
            // A limit is among them, and the minute should not turn.
            minute::with_room_for(Duration::from_secs(15)).await;
        }
        let mut command = Command::new(&self.program);
        command
            .arg(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(self.file))
            .arg(group)
            .env("LLM_BALANCER_URL", format!("http://localhost:{}", world.balancer.port))
            .env("LLM_BALANCER_KEY", KEY)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.packages.iter().map(|(name, folder)| (name, folder)));
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let output = output.unwrap_or_else(|error| {
            panic!("cannot run {}: {error}; `make tools` installs it", self.program.display())
        });
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let received = world.provider.received();
        received.iter().for_each(assert_rewritten);
        let lines = String::from_utf8(output.stdout).expect("lines are text");
        lines.lines().map(|line| Seen::new(line, &received)).collect()
    }
}

/// `claude` has lyon and rome, of Anthropic's API, and `gpt` paris and virginia, of OpenAI's. All
/// other groups have a deployment of each; those of Anthropic's are named for it.
///
/// `gpt` has paris and virginia; `narrow` serves one request a minute; `later` says 429 every other
/// time; `slow` takes its time for each event; `lingering` ends its answers late.
pub async fn world() -> World {
    let alone =
        ["narrow", "later", "hanging", "slow", "lingering"].into_iter().chain(FAILING.map(|(name, _)| name));
    let alone: String = alone.map(of_both_apis).collect();
    let world = World::new(&format!(
        "model_list:\n{}{}{}{}{alone}router_settings: {{num_retries: 0, timeout: 5, disable_cooldowns: true}}\ngeneral_settings: {{master_key: {KEY}}}\n",
        item("gpt", "paris", ""),
        item("gpt", "virginia", ""),
        item("claude", "lyon", ANTHROPIC),
        item("claude", "rome", ANTHROPIC),
    ))
    .await;
    let turns = [Answer::status(429).retry_after("1"), Answer::ok()];
    for end in ["", OF_ANTHROPIC] {
        let always = |name: &str, answer: Answer| world.provider.always(&format!("{name}{end}"), answer);
        for (name, status) in FAILING {
            let answer = Answer::status(status);
            always(name, if status == 429 { answer.retry_after("7") } else { answer });
        }
        always("hanging", Answer::ok().hang());
        always("slow", Answer::ok().every(Duration::from_millis(300)));
        always("lingering", Answer::ok().end_after(Duration::from_millis(20)));
        world.provider.script(&format!("later{end}"), turns.iter().cycle().take(8).cloned());
    }
    world
}

/// The parameter of deployments that serve Anthropic's API.
const ANTHROPIC: &str = ", llm_balancer: {wire: anthropic}";
/// The end of their names in a group of both APIs.
const OF_ANTHROPIC: &str = "_messages";

/// A group with a deployment of each API.
fn of_both_apis(name: &str) -> String {
    let limit = if name == "narrow" { ", rpm: 1" } else { "" };
    let anthropics = format!("{name}{OF_ANTHROPIC}");
    item(name, name, limit) + &item(name, &anthropics, &format!("{limit}{ANTHROPIC}"))
}

/// A request reaches the provider with the deployment's own key and model, and with nothing of the
/// client's key.
fn assert_rewritten(request: &Received) {
    let name = &request.name;
    assert_eq!(request.header("authorization"), Some(format!("Bearer sk-{name}").as_str()), "{request:?}");
    let own = (request.route().starts_with("/messages")).then(|| format!("sk-{name}"));
    assert_eq!(request.header("x-api-key").map(str::to_owned), own, "{request:?}");
    assert_eq!(request.model(), format!("m-{name}"), "{request:?}");
    assert!(!request.headers.iter().any(|(_, value)| value.contains(KEY)), "{:?}", request.headers);
}

impl Seen {
    fn new(line: &str, received: &[Received]) -> Self {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
        let mark = line["mark"].as_str().expect("a line has a mark");
        let marked = |request: &&Received| contains(&request.body, mark.as_bytes());
        let received: Vec<_> = received.iter().filter(marked).cloned().collect();
        let seen = Self { feature: line["feature"].as_str().unwrap_or_default().to_owned(), line, received };
        seen.assert_agreed();
        seen
    }

    /// The deployments that answered, in the script's words, are those that received the requests.
    fn assert_agreed(&self) {
        let Some(answered) = self.line["deployments"].as_array() else { return };
        let mut answered: Vec<_> = answered.iter().filter_map(Value::as_str).collect();
        let mut called: Vec<_> = self.received.iter().map(|request| request.name.as_str()).collect();
        answered.sort_unstable();
        called.sort_unstable();
        assert_eq!(answered, called, "who answered and who was called: {}", self.line);
    }

    /// The routes on which the provider was asked, without repetition.
    pub fn routes(&self) -> Vec<&str> {
        let mut routes: Vec<_> = self.received.iter().map(Received::route).collect();
        routes.dedup();
        routes
    }

    /// Asserts that the provider received every byte value in order, as a file that was sent has
    /// it.
    pub fn assert_file_arrived(&self) {
        let bytes: Vec<u8> = (0..=255).collect();
        assert!(!self.received.is_empty(), "{}", self.line);
        for request in &self.received {
            assert!(contains(&request.body, &bytes), "{}: the file did not arrive as sent", self.feature);
        }
    }
}

/// Asserts that exactly these features ran, with /v1 and without, and that the provider was asked
/// on these routes for them.
#[track_caller]
pub fn assert_features(seen: &[Seen], wanted: &[(&str, &[&str])]) {
    let names: Vec<_> = seen.iter().map(|seen| seen.feature.as_str()).collect();
    let once: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [once.clone(), once].concat());
    for (seen, (name, routes)) in seen.iter().zip(wanted.iter().chain(wanted)) {
        assert_eq!(seen.routes(), *routes, "{name}");
    }
}

/// Asserts that these errors were raised: feature, class, status, Retry-After and message, each of
/// the last two as a part of it.
#[track_caller]
pub fn assert_errors(seen: &[Seen], wanted: &[(&str, &str, u16, &str, &str)]) {
    let errors: Vec<_> = seen.iter().filter(|seen| seen.line["raised"].is_string()).collect();
    let names: Vec<_> = errors.iter().map(|seen| seen.feature.as_str()).collect();
    let once: Vec<_> = wanted.iter().map(|error| error.0).collect();
    assert_eq!(names, [once.clone(), once].concat());
    for (seen, (name, class, status, after, message)) in errors.iter().zip(wanted.iter().chain(wanted)) {
        let line = &seen.line;
        assert_eq!(
            (line["raised"].as_str(), line["status"].as_u64()),
            (Some(*class), Some(u64::from(*status))),
            "{name}: {line}"
        );
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        assert!(text("message").contains(message), "{name}: {line}");
        match *after {
            "" => assert!(line["retry_after"].is_null(), "{name}: {line}"),
            "of the minute" => {
                let seconds: u64 = text("retry_after").parse().unwrap_or_else(|_| panic!("{name}: {line}"));
                assert!((1..=60).contains(&seconds), "{name}: {line}");
            }
            exactly => assert_eq!(text("retry_after"), exactly, "{name}: {line}"),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
