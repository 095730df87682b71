//! Kubernetes objects against the published schemas, by integration/kubernetes/check.mjs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use llm_balancer_integration::mesh::{Rendered, documents};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the objects are what the schemas say, and what is wrong with them.
fn check(objects: &[Value]) -> (bool, String) {
    let models =
        std::env::var_os("KUBERNETES_MODELS").map_or_else(|| root().join(".tools/kubernetes"), PathBuf::from);
    let mut node = Command::new("node")
        .arg(root().join("integration/kubernetes/check.mjs"))
        .arg(models)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    let text = serde_json::to_string(objects).expect("JSON");
    node.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    let output = node.wait_with_output().expect("it ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("{} checked", objects.len())), "{said}");
    (output.status.success(), said)
}

const FULL: &str = "
model_list:
- {model_name: gpt, litellm_params: {model: azure/m, api_base: https://eu.example, api_version: '1', api_key: os.environ/KEY, rpm: 6}}
- {model_name: gpt, litellm_params: {model: openai/m, api_key: os.environ/KEY}}
router_settings: {redis_host: redis, redis_password: os.environ/REDIS_PASSWORD}
general_settings: {master_key: os.environ/MASTER_KEY}
";

fn rendered(target: &str, args: &[&str]) -> Vec<Value> {
    let variables = BTreeMap::from([("KEY", "k"), ("REDIS_PASSWORD", "p"), ("MASTER_KEY", "sk")]);
    Rendered::new(FULL, target, args, &variables).objects
}

#[test]
fn everything_that_is_rendered_for_a_mesh_fits_its_schema() {
    let image = format!("oci://registry.example/filter@sha256:{}", "5".repeat(64));
    let tls = ["--tls-secret", "cert", "--hostname", "llm.example.com", "--hostname", "llm.example.org"];
    let mut all = Vec::new();
    for target in ["istio", "envoy-gateway"] {
        let one_hop = ["--hops", "1", "--filter-image", &image];
        for args in [&[][..], &tls, &["--filter-image", &image], &one_hop, &["--profile", "single-hop"]] {
            all.extend(rendered(target, args));
        }
    }
    let (fits, said) = check(&all);
    assert!(fits, "{said}");
}

#[test]
fn the_check_finds_values_that_do_not_fit_and_fields_that_nobody_knows() {
    let spoilt = [
        ("istio", r#""operation":"MERGE""#, r#""operation":"MELT""#, "MELT"),
        ("istio", r#""configPatches""#, r#""configPatchs""#, "configPatchs"),
        ("istio", r#""replicas":2"#, r#""replicas":"two""#, "replicas must be integer"),
        ("envoy-gateway", r#""bufferLimit""#, r#""bufferLimits""#, "bufferLimits"),
        ("envoy-gateway", r#""op":"add""#, r#""op":"drop""#, "drop"),
        ("envoy-gateway", r#""gatewayClassName""#, r#""gatewayClasses""#, "gatewayClasses"),
    ];
    let mut all: Vec<Value> = Vec::new();
    for (target, from, to, _) in spoilt {
        let text = serde_json::to_string(&rendered(target, &[])).unwrap();
        assert!(text.contains(from), "{from}");
        all.extend(serde_json::from_str::<Vec<Value>>(&text.replacen(from, to, 1)).unwrap());
    }
    let (fits, said) = check(&all);
    for (_, _, _, found) in spoilt {
        assert!(!fits && said.contains(found), "{found}: {said}");
    }
}

/// What `kubectl apply -k deploy/kubernetes` would send, apart from what kustomize adds.
fn deployed() -> Vec<Value> {
    let read = |file: &str| std::fs::read_to_string(root().join("deploy/kubernetes").join(file)).unwrap();
    let kustomization = documents(&read("kustomization.yaml")).remove(0);
    let files = kustomization["resources"].as_array().unwrap();
    files.iter().flat_map(|file| documents(&read(file.as_str().unwrap()))).collect()
}

#[test]
fn the_manifests_of_a_standalone_deployment_fit_their_schemas() {
    let objects = deployed();
    assert!(objects.len() >= 10, "{}", objects.len());
    let (fits, said) = check(&objects);
    assert!(fits, "{said}");
}

#[test]
fn the_manifests_agree_with_one_another() {
    let objects = deployed();
    let one = |kind: &str, name: &str| {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    for (workload, name) in [("Deployment", "llm-balancer"), ("StatefulSet", "redis")] {
        let spec = &one(workload, name)["spec"];
        let labels = &spec["template"]["metadata"]["labels"];
        let selectors = [
            &spec["selector"]["matchLabels"],
            &one("Service", name)["spec"]["selector"],
            &one("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"],
        ];
        for selector in selectors {
            for (label, value) in selector.as_object().unwrap() {
                assert_eq!(&labels[label], value, "{workload} {name}");
            }
        }
        let container = &spec["template"]["spec"]["containers"][0];
        let ports: Vec<_> =
            container["ports"].as_array().unwrap().iter().map(|port| port["name"].clone()).collect();
        for port in one("Service", name)["spec"]["ports"].as_array().unwrap() {
            assert!(ports.contains(&port["targetPort"]), "{name}: {port}");
        }
        for variable in container["envFrom"].as_array().into_iter().flatten() {
            let secret = variable["secretRef"]["name"].as_str().unwrap();
            one("Secret", secret);
        }
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
    }
    let scaler = &one("HorizontalPodAutoscaler", "llm-balancer")["spec"];
    assert_eq!(scaler["scaleTargetRef"]["kind"], "Deployment");
    let scaled = &one("Deployment", "llm-balancer")["spec"];
    assert!(scaled["replicas"].is_null(), "an apply would scale back");
    assert_eq!(scaled["template"]["spec"]["enableServiceLinks"], false, "a Service would set REDIS_PORT");
    one("PodDisruptionBudget", "llm-balancer");
}

#[test]
fn the_configuration_in_the_manifests_is_usable() {
    let objects = deployed();
    let map = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let (usable, said) = llm_balancer_integration::Balancer::check_with(
        map["data"]["config.yaml"].as_str().unwrap(),
        &[
            ("LITELLM_MASTER_KEY", "sk"),
            ("OPENAI_API_KEY", "k"),
            ("AZURE_API_KEY", "k"),
            ("REDIS_PASSWORD", "p"),
        ],
    );
    assert!(usable, "{said}");
}

#[test]
fn the_secret_of_the_manifests_is_refused_until_its_master_key_is_replaced() {
    let objects = deployed();
    let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let secret = one("Secret")["stringData"].as_object().unwrap();
    let shipped: Vec<_> = secret.iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
    let config = one("ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let (usable, said) = llm_balancer_integration::Balancer::check_with(config, &shipped);
    assert!(!usable && said.contains("master_key: this is a placeholder"), "{said}");
}
