//! `--metrics-port` opens to other machines what may be read on the admin port, and nothing of what
//! changes Envoy; `health` looks from beside.

use std::process::Command;

use hyper::Method;
use llm_balancer_integration::{Balancer, Client, Launch, free_port, item, raw};

const PORT: &str = "127.0.0.1:1";

fn config() -> String {
    format!("model_list:\n{}", item("gpt", "paris", "").replace("PROVIDER", &format!("http://{PORT}")))
}

async fn watched() -> (Balancer, Client) {
    let port = free_port();
    let arguments = ["--metrics-port", &port.to_string(), "--host", "0.0.0.0", "--insecure-no-auth"];
    let launch = arguments.into_iter().fold(Launch::new(&config()), Launch::arg);
    (launch.start().await, Client::new(port))
}

#[tokio::test]
async fn metrics_and_readiness_can_be_read_from_other_machines() {
    let (balancer, watcher) = watched().await;
    for path in ["/metrics", "/stats/prometheus", "/metrics?usedonly"] {
        let reply = watcher.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.text().contains("envoy_server_live{} 1"), "{path}: {}", reply.text());
        assert_eq!(reply.header("x-llm-balancer-version"), Some(env!("CARGO_PKG_VERSION")), "{path}");
    }
    assert_eq!(watcher.get("/ready").await.text().trim(), "LIVE");
    for path in ["/health/liveliness", "/health/liveness"] {
        let reply = watcher.get(path).await;
        let expected = Client::new(balancer.port).get(path).await;
        assert_eq!((reply.status, reply.text()), (200, expected.text()), "{path}");
        assert_eq!(reply.header("content-type"), expected.header("content-type"), "{path}");
    }
    balancer.says("status page: http://127.0.0.1:").await;
    balancer.says("for other machines").await;
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_nothing_else() {
    let (_balancer, watcher) = watched().await;
    let reply = watcher.get("/").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(reply.text().ends_with("</html>\n"), "it is cut off");
    let policy = reply.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn without_a_port_the_page_is_for_this_machine() {
    let balancer = Launch::new(&config()).start().await;
    balancer.says(&format!("status page: {}\n", balancer.page())).await;
    assert!(!balancer.log().contains("for other machines"));
    let reply = Client::new(balancer.admin_port + 1).get("/").await;
    assert_eq!((reply.status, reply.text().contains("<h1>llm-balancer</h1>")), (200, true));
}

/// A web page elsewhere may give its own name the address 127.0.0.1, and then read what this port
/// answers.
#[tokio::test]
async fn the_page_of_this_machine_is_not_shown_under_the_name_of_another() {
    let balancer = Launch::new(&config()).start().await;
    let port = balancer.admin_port + 1;
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:9902", 200),
        ("[::1]:9902", 200),
        ("LOCALHOST:9902", 200),
        ("rebound.example", 403),
        ("localhost.example:9902", 403),
        ("127.0.0.1.example", 403),
    ] {
        for path in ["/", "/stats/prometheus", "/ready"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let reply = raw::exchange(&mut raw::connect(port).await, request.as_bytes(), |_| false).await;
            assert_eq!(raw::status(&reply), status, "{host} {path}: {reply}");
            assert_eq!(status == 403, reply.ends_with("use localhost, 127.0.0.1 or [::1] as the host.\n"));
        }
    }
}

#[tokio::test]
async fn nothing_else_of_the_admin_port_can_be_reached() {
    let (mut balancer, watcher) = watched().await;
    for path in [
        "//", "/index.html", "/quitquitquit", "/config_dump", "/stats", "/logging", "/ready/../quitquitquit",
        "/metrics/",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = watcher.send(method, path, "text/plain", "").await;
            assert_eq!(reply.status, 404, "{path}");
        }
    }
    for path in ["/", "/metrics"] {
        assert_eq!(watcher.send(Method::POST, path, "text/plain", "").await.status, 404);
    }
    assert!(balancer.alive());
}

#[tokio::test]
async fn health_says_by_its_exit_code_whether_the_balancer_answers() {
    let balancer = Launch::new(&config()).start().await;
    let health = |port: u16| {
        Command::new(Balancer::binary()).args(["health", "--port", &port.to_string()]).output().unwrap()
    };
    let well = health(balancer.port);
    assert!(well.status.success() && well.stderr.is_empty(), "{well:?}");
    assert!(health(balancer.admin_port + 1).status.success(), "on the metrics port too");
    let ill = health(free_port());
    assert_eq!(ill.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ill.stderr).contains("no answer from 127.0.0.1"), "{ill:?}");
}
