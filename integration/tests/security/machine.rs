//! Other users and programs of the same machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use hyper::Method;
use llm_balancer_integration::{Balancer, Client, Launch, World, eventually, free_port, item, within};
use nix::sys::signal::Signal;
use tempfile::TempDir;

fn config() -> String {
    format!("model_list:\n{}", item("gpt", "paris", "").replace("PROVIDER", "http://127.0.0.1:1"))
}

#[tokio::test]
async fn the_admin_port_shows_no_configuration_and_takes_no_commands() {
    let mut world = World::group(&["paris"], "").await;
    let admin = Client::new(world.balancer.admin_port);
    for path in [
        "/config_dump",
        "/config_dump?include_eds",
        "/config_dump?resource=dynamic_listeners",
        "/config_dump?resource=dynamic_listeners&mask=error_state.details&resource=bootstrap",
        "/config_dump?resource=bootstrap&mask=error_state.details",
        "/config_dump?resource=dynamic_listeners&mask=error_state",
        "/config_dump/",
        "/quitquitquit",
        "/logging",
        "/stats/recentlookups/enable",
        "/stats/recentlookups/clear",
        "/logging?level=trace",
        "/logging?paths=x:trace",
        "/runtime_modify?a=b",
        "/reset_counters",
        "/drain_listeners",
        "/drain_listeners?",
        "/drain_listeners?inboundonly&skip_exit",
        "/drain_listeners?graceful",
        "/healthcheck/ok",
        "/healthcheck/fail?",
        "/cpuprofiler?enable=y",
        "/heapprofiler?enable=y",
        "/heapdump",
        "/init_dump",
        "/certs",
        "/tap",
        "//config_dump",
        "/ready/../config_dump",
        "/stats/../config_dump",
        "/stats/%2e%2e/config_dump",
        "/",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = admin.send(method.clone(), path, "text/plain", "").await;
            assert!([403, 404].contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text());
            assert!(!reply.text().contains("sk-paris"), "{path}");
        }
    }
    for path in
        ["/ready", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/memory", "/server_info"]
    {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn the_environment_of_the_processes_is_their_users_alone() {
    let balancer = Launch::new(&config()).env("KEY", "sk-secret").start().await;
    for pid in balancer.processes() {
        let environment = fs::metadata(format!("/proc/{pid}/environ")).unwrap();
        assert_eq!(environment.mode() & 0o777, 0o400, "{pid}");
        let shown = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!shown.contains("sk-"), "{shown}");
    }
}

/// With SIGKILL nothing can be cleaned up, and the files may hold keys.
#[tokio::test]
async fn what_a_killed_run_leaves_is_private_and_the_next_run_removes_it() {
    let temporary = TempDir::new().unwrap();
    let folders = || {
        let entries = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let launch = || Launch::new(&config()).env("TMPDIR", temporary.path());
    let mut killed = launch().start().await;
    let processes = killed.processes();
    killed.signal(Signal::SIGKILL);
    assert!(killed.ended(Duration::from_secs(5)).await.is_some());
    assert!(eventually(async || Balancer::still_running(&processes).is_empty()).await, "Envoy outlives it");
    let left = folders();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(fs::metadata(&left[0]).unwrap().mode() & 0o777, 0o700);
    let living = launch().start().await;
    assert!(!left[0].exists(), "{left:?}");
    let beside = launch().start().await;
    assert_eq!(folders().len(), 2, "of those that run");
    for balancer in [&living, &beside] {
        assert_eq!(Client::new(balancer.port).get("/health/liveliness").await.status, 200);
    }
}

/// A name that can be guessed could be a link of another user's.
#[tokio::test]
async fn a_link_in_the_temporary_folder_leads_no_file_elsewhere() {
    let (temporary, target) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for name in
        ["llm-balancer", "llm-balancer-", "llm-balancer-AAAAAA", "bootstrap.json", "redis.sock", "lock"]
    {
        symlink(target.path(), temporary.path().join(name)).unwrap();
    }
    let mut balancer = Launch::new(&config()).env("TMPDIR", temporary.path()).start().await;
    assert!(balancer.stop().await);
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 6, "the links, and nothing else");
}

/// The reader of the log may end first: a pager, or a collector that restarts.
#[tokio::test]
async fn a_log_without_a_reader_ends_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, config()).unwrap();
    let (port, admin_port) = (free_port(), free_port());
    let mut child = Command::new(Balancer::binary())
        .args(["--config".as_ref(), file.as_os_str()])
        .args(["--port", &port.to_string(), "--admin-port", &admin_port.to_string(), "--concurrency", "1"])
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = Client::new(port);
    let serves = async || client.answers("/health/liveliness").await;
    let is_up = within(Duration::from_secs(30), serves).await;
    drop((child.stdout.take(), child.stderr.take()));
    let served = is_up && {
        // Each writes lines: a file that is refused, one that is served, and requests.
        for text in ["model_list: [", &config().replace("sk-paris", "sk-oslo"), "model_list: ["] {
            fs::write(&file, text).unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _ = client.try_chat("gpt").await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        child.try_wait().unwrap().is_none() && serves().await
    };
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let _ = nix::sys::signal::kill(pid, Signal::SIGQUIT);
    let status = child.wait().unwrap();
    assert!(is_up && served, "it ended with {status}");
}
