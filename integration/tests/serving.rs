//! Starting and stopping: quickly, only on what is free, only with what `check` accepts, and
//! leaving nothing behind.

use std::net::TcpListener;
use std::time::Duration;

use llm_balancer_integration::{Balancer, Client, Launch, World, eventually, free_port};

const CONFIG: &str = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: os.environ/SOME_KEY}}\n";

fn usable() -> Launch {
    Launch::new(CONFIG).env("SOME_KEY", "sk-some")
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let refusal = usable().port(port).refused().await;
    assert!(!refusal.status.success());
    assert!(refusal.output.contains(&port.to_string()), "{}", refusal.output);
}

#[tokio::test]
async fn a_second_balancer_does_not_quietly_share_the_port_of_the_first() {
    let first = usable().start().await;
    let refusal = usable().port(first.port).refused().await;
    assert!(!refusal.status.success());
    assert_eq!(Client::new(first.port).get("/health/liveliness").await.status, 200);
}

#[tokio::test]
async fn serve_refuses_what_check_refuses_in_the_same_words() {
    let wrong = "
model_list:
- {model_name: gpt, litellm_params: {api_base: 'http://127.0.0.1:1/v1'}}
- {litellm_params: {model: openai/m}}
router_settings: {routing_strategy: least_busy}
";
    let (usable, said) = Balancer::check(wrong);
    assert!(!usable);
    let findings: Vec<&str> =
        said.lines().filter_map(|line| line.split_once("config.yaml:").map(|(_, rest)| rest)).collect();
    assert!(findings.len() >= 3, "{said}");
    let refusal = Launch::new(wrong).refused().await;
    assert_eq!(refusal.status.code(), Some(1));
    for finding in findings {
        assert!(refusal.output.contains(finding), "serve does not say {finding:?}:\n{}", refusal.output);
    }
}

#[tokio::test]
async fn check_accepts_what_serve_serves() {
    let (usable, said) = Balancer::check(CONFIG.replace("os.environ/SOME_KEY", "sk-some").as_str());
    assert!(usable, "{said}");
}

#[tokio::test]
async fn a_key_that_is_not_in_the_environment_is_refused_by_name() {
    let refusal = Launch::new(CONFIG).refused().await;
    assert!(refusal.output.contains("SOME_KEY"), "{}", refusal.output);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let refusal = Launch::of_file("/nowhere/config.yaml").refused().await;
    assert!(!refusal.status.success());
    assert!(refusal.output.contains("/nowhere/config.yaml"), "{}", refusal.output);
}

#[tokio::test]
async fn stopping_it_stops_its_envoy() {
    let mut balancer = usable().start().await;
    let processes = balancer.processes();
    assert!(balancer.stop().await, "still there after SIGTERM");
    let mut left = Vec::new();
    let gone = eventually(async || {
        left = Balancer::still_running(&processes);
        left.is_empty()
    });
    assert!(gone.await, "{left:?} of {processes:?} are left");
    assert!(TcpListener::bind(("127.0.0.1", balancer.port)).is_ok(), "the port is free again");
}

#[tokio::test]
async fn without_a_key_it_listens_on_loopback_alone_and_says_so() {
    let balancer = usable().start().await;
    // Any address of 127/8 reaches a socket on 0.0.0.0, but not one on 127.0.0.1.
    assert!(std::net::TcpStream::connect(("127.0.0.2", balancer.port)).is_err());
    balancer.says("master_key").await;
    let refusal = usable().arg("--host").arg("0.0.0.0").refused().await;
    assert!(refusal.output.contains("--insecure-no-auth"), "{}", refusal.output);
    let open = usable().arg("--host").arg("0.0.0.0").arg("--insecure-no-auth").start().await;
    assert!(std::net::TcpStream::connect(("127.0.0.2", open.port)).is_ok());
}

#[tokio::test]
async fn with_a_key_it_listens_everywhere_and_the_admin_port_does_not() {
    let balancer =
        Launch::new(&format!("{CONFIG}general_settings: {{master_key: sk-key-of-the-house-4711}}\n"))
            .env("SOME_KEY", "sk-some")
            .start()
            .await;
    assert!(std::net::TcpStream::connect(("127.0.0.2", balancer.port)).is_ok());
    assert!(std::net::TcpStream::connect(("127.0.0.2", balancer.admin_port)).is_err());
    assert!(std::net::TcpStream::connect(("127.0.0.1", balancer.admin_port)).is_ok());
}

#[tokio::test]
async fn the_log_has_no_complaint_about_an_ordinary_life() {
    let world = World::group(&["paris", "virginia"], "").await;
    for _ in 0..5 {
        world.chat("gpt").await.served_by();
    }
    let log = world.balancer.log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.contains("[error]")
                || line.contains("[critical]")
                || line.contains("panicked")
                || line.contains("deprecated")
        })
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[tokio::test]
async fn the_port_can_be_chosen() {
    let port = free_port();
    let balancer = usable().port(port).start().await;
    assert_eq!(balancer.port, port);
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let mut balancer = usable().start().await;
    let folder = balancer.runtime_folder();
    assert!(balancer.stop().await);
    assert_eq!(balancer.ended(Duration::ZERO).await.unwrap().code(), Some(0));
    assert!(!folder.exists(), "{} is left", folder.display());
}
