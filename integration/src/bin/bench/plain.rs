//! The other side of the comparison: Envoy with one listener, one route and one cluster.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use llm_balancer_integration::free_port;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::Process;

/// A plain Envoy, gone when it is dropped.
pub struct Plain {
    pub port: u16,
    pub process: Process,
    child: Child,
    _dir: TempDir,
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one with a single worker.
pub async fn start(upstream: u16) -> Plain {
    let port = free_port();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("plain.yaml");
    std::fs::write(&file, bootstrap(port, upstream)).expect("a writable directory");
    let envoy = std::env::var("ENVOY").unwrap_or_else(|_| ".tools/envoy/bin/envoy".to_owned());
    let child = Command::new(envoy)
        .arg("-c")
        .arg(&file)
        .args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"])
        .stdout(Stdio::null())
        .spawn()
        .expect("Envoy starts");
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Plain { port, process: Process::new(child.id()), child, _dir: dir }
}

fn bootstrap(port: u16, upstream: u16) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: upstream, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: upstream
    connect_timeout: 1s
    load_assignment:
      cluster_name: upstream
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]}}]
"#
    )
}
