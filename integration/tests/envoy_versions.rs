//! Which Envoys are used: those that the tests run on. Others are refused in plain words.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use llm_balancer_integration::{Launch, Refusal};
use tempfile::TempDir;

const MAKEFILE: &str = include_str!("../../Makefile");
const PAGES: [(&str, &str); 4] = [
    ("README.md", include_str!("../../README.md")),
    ("docs/envoy.md", include_str!("../../docs/envoy.md")),
    ("docs/istio.md", include_str!("../../docs/istio.md")),
    ("docs/envoy-gateway.md", include_str!("../../docs/envoy-gateway.md")),
];
const CONFIG: &str = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: k}}\n";

async fn refused(envoy: impl Into<PathBuf>) -> Refusal {
    Launch::new(CONFIG).arg("--envoy").arg(envoy.into()).refused().await
}

/// A variable of the Makefile.
fn variable(name: &str) -> &'static str {
    let line = MAKEFILE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" := "));
    line.unwrap_or_else(|| panic!("the Makefile has no {name}"))
}

#[tokio::test]
async fn an_envoy_that_is_too_old_is_refused_with_its_version_and_the_one_that_is_needed() {
    let dir = TempDir::new().unwrap();
    let old = dir.path().join("envoy");
    fs::write(&old, "#!/bin/sh\necho 'envoy  version: bad8280de85c/1.36.4/Clean/RELEASE/BoringSSL'\n")
        .unwrap();
    fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
    let refusal = refused(&old).await;
    assert_eq!(refusal.status.code(), Some(1));
    let message = format!("{} is Envoy 1.36.4, but 1.37 or newer is needed: install one with", old.display());
    assert!(refusal.output.contains(&message), "{}", refusal.output);
}

#[tokio::test]
async fn an_envoy_without_webassembly_is_refused_with_what_it_lacks() {
    let version = variable("ENVOY_WITHOUT_V8");
    let envoy = format!("{}/../.tools/envoys/{version}/bin/envoy", env!("CARGO_MANIFEST_DIR"));
    assert!(fs::exists(&envoy).unwrap(), "`make tools` installs {envoy}");
    let refusal = refused(&envoy).await;
    assert_eq!(refusal.status.code(), Some(1));
    let message = format!(
        "llm-balancer: {envoy} (Envoy {version}) cannot run filters in WebAssembly: a build with the runtime V8 (envoy.wasm.runtime.v8) is needed"
    );
    let last = refusal.output.lines().last().unwrap_or_default();
    assert!(last.starts_with(&message), "{}", refusal.output);
}

#[test]
fn the_pages_name_the_versions_that_the_tests_run_on() {
    let (newest, others) = (variable("ENVOY_VERSION"), variable("OLDER_ENVOYS"));
    let tested: Vec<&str> = others.split(' ').chain([newest]).collect();
    let listed = tested.join(", ");
    for (page, text) in PAGES {
        // Words of a page may be on two lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&listed), "{page} does not say {listed}");
    }
    let oldest = tested.first().and_then(|version| version.rsplit_once('.')).map(|(minor, _)| minor);
    assert_eq!(oldest, Some("1.37"), "serve refuses Envoys before the oldest that is tested");
}
