//! Coding agents as their users start them, each with a turn that calls a tool. `make test-agents`
//! installs them, a gigabyte, and runs this.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use llm_balancer_integration::{Answer, World, eventually, item};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "sk-key-of-the-house-4711";
const ANTHROPIC: &str = ", llm_balancer: {wire: anthropic}";

/// `gpt` has paris and virginia, of OpenAI's API, and `claude` lyon and rome, of Anthropic's. The
/// first request to each fails.
async fn world() -> World {
    let items = [
        ("gpt", "paris", ""),
        ("gpt", "virginia", ""),
        ("claude", "lyon", ANTHROPIC),
        ("claude", "rome", ANTHROPIC),
    ]
    .map(|(group, name, params)| item(group, name, params))
    .concat();
    let config = format!("model_list:\n{items}general_settings: {{master_key: {KEY}}}\n");
    let world = World::new(&config).await;
    for name in ["paris", "virginia", "lyon", "rome"] {
        world.provider.script(name, [Answer::status(503)]);
    }
    world
}

/// An agent's program, and a home of its own.
struct Agent {
    command: Command,
    home: TempDir,
}

impl Agent {
    fn new(program: &str) -> Self {
        let tools = |path: &str| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools")).join(path);
        let home = TempDir::new().expect("a temporary directory");
        let work = home.path().join("work");
        fs::create_dir(&work).expect("the folder can be made");
        let mut command = Command::new(tools("agents/node_modules/.bin").join(program));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(&work)
            .env("PWD", work)
            .env("HOME", home.path())
            .env("PATH", format!("{}:{path}", tools("node/bin").display()))
            .env("LLM_BALANCER_KEY", KEY)
            .stdin(Stdio::null());
        Self { command, home }
    }

    /// With this file in its home.
    fn file(self, path: &str, content: &str) -> Self {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(path, content).expect("the file can be written");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it prints. Panics unless it succeeds.
    async fn run(mut self, args: &[&str]) -> String {
        self.command.args(args);
        let output = tokio::task::spawn_blocking(move || self.command.output()).await.expect("it runs");
        let output = output.unwrap_or_else(|error| panic!("{error}; `make test-agents` installs the agents"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

/// Asserts that the agent answered after at least two requests on this route, and that the balancer
/// served all of them, though the first attempt of one failed.
async fn assert_served(world: &World, said: &str, route: &str) {
    assert!(said.contains("from "), "{said}");
    let received = world.provider.received();
    let asked = received.iter().filter(|request| request.route() == route).count();
    let routed = || world.balancer.access_log().into_iter().filter(|line| line["group"].is_string());
    assert!(eventually(async || asked >= 2 && routed().count() >= 2).await, "{received:?}");
    let failed: Vec<Value> = routed().filter(|line| line["status"] != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-agents installs Codex"]
async fn codex_is_served() {
    let world = world().await;
    let config = format!(
        "model = \"gpt\"\nmodel_provider = \"balancer\"\n[model_providers.balancer]\nname = \"balancer\"\n\
         base_url = \"http://127.0.0.1:{}/v1\"\nenv_key = \"LLM_BALANCER_KEY\"\nwire_api = \"responses\"\n",
        world.balancer.port
    );
    let agent = Agent::new("codex").file(".codex/config.toml", &config);
    let args = ["exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", "say hi"];
    let said = agent.run(&args).await;
    assert_served(&world, &said, "/responses").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-agents installs Claude Code"]
async fn claude_code_is_served() {
    let world = world().await;
    let agent = Agent::new("claude")
        .env("ANTHROPIC_BASE_URL", &format!("http://127.0.0.1:{}", world.balancer.port))
        .env("ANTHROPIC_AUTH_TOKEN", KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    let said =
        agent.run(&["-p", "say hi", "--model", "claude", "--tools", "Bash", "--allowedTools", "Bash"]).await;
    assert_served(&world, &said, "/messages").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-agents installs opencode"]
async fn opencode_is_served_by_each_of_its_providers() {
    let routes = [
        ("@ai-sdk/openai", "gpt", "/responses"),
        ("@ai-sdk/openai-compatible", "gpt", "/chat/completions"),
        ("@ai-sdk/anthropic", "claude", "/messages"),
    ];
    for (package, model, route) in routes {
        let world = world().await;
        let address = format!("http://127.0.0.1:{}/v1", world.balancer.port);
        let provider = json!({
            "npm": package, "name": "balancer", "options": {"baseURL": address, "apiKey": KEY},
            "models": {model: {"name": model}},
        });
        let config = json!({"provider": {"balancer": provider}}).to_string();
        let agent = Agent::new("opencode").file("work/opencode.json", &config);
        let said = agent.run(&["run", "-m", &format!("balancer/{model}"), "say hi"]).await;
        assert_served(&world, &said, route).await;
    }
}
