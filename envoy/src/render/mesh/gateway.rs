//! What Istio and Envoy Gateway have in common: the parts of our own bootstrap that go into somebody else's Envoy, and
//! the Kubernetes objects around its pods.

use std::path::PathBuf;

use data_encoding::BASE64;
use llm_balancer_config::names;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::render::message::with;

/// Where somebody else's Envoy runs, and how the filter gets there.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Of the rendered objects,
    pub namespace: String,
    /// and of Envoy's pods, with what they mount.
    pub pods_namespace: String,
    /// That the gateway answers to; none are all.
    pub hostnames: Vec<String>,
    /// With the gateway's certificate.
    pub tls_secret: Option<String>,
    /// The filter.
    pub code: FilterCode,
    /// The filter sits on the gateway's own listener.
    pub single_hop: bool,
    /// Environment variables that the filter reads, and whether they were set when this was rendered.
    pub variables: Vec<(String, bool)>,
    /// The socket on the way to Redis, if there is one.
    pub redis_socket: Option<PathBuf>,
}

/// Where the gateway's pods find the filter.
#[derive(Clone, Debug)]
pub enum FilterCode {
    /// Rendered with everything else.
    ConfigMap(&'static [u8]),
    /// Pulled from a registry.
    Image {
        /// `registry.example/llm-balancer-filter@sha256:..`
        reference: String,
        /// The digest alone.
        sha256: String,
    },
}

/// Of all objects that are one of a kind.
pub(super) const NAME: &str = names::FILTER;

/// The Secret with the variables, which the operator makes.
const SECRET: &str = NAME;

/// Where the filter is mounted.
const FOLDER: &str = "/etc/llm-balancer";

/// The bundle in the images of Istio's proxy and of Envoy.
pub const SYSTEM_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

impl Mesh {
    /// The file with the filter, in the gateway's pods. The name of one that we put there changes with its content, so
    /// that nobody goes on with an old one.
    pub fn filter_file(&self) -> String {
        match &self.code {
            FilterCode::ConfigMap(bytes) => format!("{FOLDER}/{}.wasm", fingerprint(bytes)),
            FilterCode::Image { .. } => format!("{FOLDER}/plugin.wasm"),
        }
    }

    /// An object in our namespace.
    pub(super) fn namespaced(&self, api: &str, kind: &str, name: &str, body: Value) -> Value {
        object_of(api, kind, metadata(name, &self.namespace), body)
    }

    /// The ConfigMap with the filter, if that is where it goes.
    pub(super) fn filter_config_map(&self) -> Option<Value> {
        let FilterCode::ConfigMap(bytes) = &self.code else { return None };
        let file = format!("{}.wasm", fingerprint(bytes));
        let body = json!({"immutable": true, "binaryData": {file: BASE64.encode(bytes)}});
        let metadata = metadata(&config_map_name(bytes), &self.pods_namespace);
        Some(object_of("v1", "ConfigMap", metadata, body))
    }

    /// Volumes of the gateway's pods, and where its container has them.
    pub(super) fn volumes(&self, image_volume: bool) -> (Vec<Value>, Vec<Value>) {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        let filter = match &self.code {
            FilterCode::ConfigMap(bytes) => {
                Some(json!({"name": "filter", "configMap": {"name": config_map_name(bytes)}}))
            }
            FilterCode::Image { reference, .. } if image_volume => Some(
                json!({"name": "filter", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}),
            ),
            FilterCode::Image { .. } => None,
        };
        if let Some(filter) = filter {
            volumes.push(filter);
            mounts.push(json!({"name": "filter", "mountPath": FOLDER, "readOnly": true}));
        }
        if let Some(folder) = self.redis_socket.as_ref().and_then(|socket| socket.parent()) {
            volumes.push(json!({"name": "redis-socket", "emptyDir": {"medium": "Memory"}}));
            mounts.push(json!({"name": "redis-socket", "mountPath": folder.display().to_string()}));
        }
        (volumes, mounts)
    }

    /// The filter's variables, as the container gets them. Those that made no difference here may be missing there.
    pub(super) fn env(&self) -> Vec<Value> {
        let variable = |(name, is_set): &(String, bool)| {
            let key = json!({"name": SECRET, "key": name});
            let key = with(key, "optional", (!is_set).then_some(Value::Bool(true)));
            json!({"name": name, "valueFrom": {"secretKeyRef": key}})
        };
        self.variables.iter().map(variable).collect()
    }

    /// Limits of two gateways that share nothing would be twice as high.
    pub(super) fn replicas(&self) -> u32 {
        if self.redis_socket.is_some() { 2 } else { 1 }
    }

    /// Port and name of the gateway's listener.
    pub(super) fn port(&self) -> (u16, &'static str) {
        if self.tls_secret.is_some() { (443, "https") } else { (80, "http") }
    }
}

fn metadata(name: &str, namespace: &str) -> Value {
    json!({"name": name, "namespace": namespace, "labels": labels()})
}

/// On everything that is rendered.
pub(super) fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

pub(super) fn object_of(api: &str, kind: &str, metadata: Value, body: Value) -> Value {
    let object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
    match (object, body) {
        (Value::Object(mut object), Value::Object(body)) => {
            object.extend(body);
            Value::Object(object)
        }
        (object, _) => object,
    }
}

/// The answer while the control plane has not taken our patches over.
pub(super) const NOT_PATCHED: &str = r#"{"error":{"message":"The gateway has not been patched: see the status of its patch policy.","type":"internal_server_error","param":null,"code":"503"}}"#;

fn config_map_name(bytes: &[u8]) -> String {
    format!("{NAME}-filter-{}", fingerprint(bytes))
}

/// The first 32 bits of the SHA-256, in hexadecimal.
fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
