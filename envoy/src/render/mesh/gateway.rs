//! What Istio and Envoy Gateway share: names, volumes and variables of the gateway's pods.

use std::path::PathBuf;

use data_encoding::{BASE64, HEXLOWER};
use llm_balancer_config::names;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::render::message::with;

/// Where the gateway runs, and how the filter gets there.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Of the rendered objects.
    pub namespace: String,
    /// Of Envoy's pods and of what they mount.
    pub pods_namespace: String,
    /// Hosts that the gateway serves; all if empty.
    pub hostnames: Vec<String>,
    /// The Secret with the gateway's certificate.
    pub tls_secret: Option<String>,
    /// The filter.
    pub code: FilterCode,
    /// The filter runs on the gateway's own listener.
    pub single_hop: bool,
    /// Environment variables that the filter reads, and whether they are set for `render`.
    pub variables: Vec<(String, bool)>,
    /// The socket to Redis, if there is one.
    pub redis_socket: Option<PathBuf>,
}

/// Where the gateway's pods find the filter.
#[derive(Clone, Debug)]
pub enum FilterCode {
    /// The filter's bytes.
    ConfigMap(&'static [u8]),
    /// Pulled from a registry.
    Image {
        /// `registry.example/llm-balancer-filter@sha256:..`
        reference: String,
        /// The digest alone.
        sha256: String,
    },
}

/// The name of all objects that are the only one of their kind.
pub(super) const NAME: &str = names::FILTER;

/// The longest value of a label.
const LONGEST_LABEL: usize = 63;

/// Mount point of the filter.
const FOLDER: &str = "/etc/llm-balancer";

/// The CA bundle in the images of Istio's proxy and of Envoy.
pub(crate) const SYSTEM_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

impl Mesh {
    /// The filter's path in the gateway's pods. In a ConfigMap it changes with the content, so that
    /// Envoy loads the new one.
    pub(crate) fn filter_file(&self) -> String {
        match &self.code {
            FilterCode::ConfigMap(bytes) => format!("{FOLDER}/{}.wasm", fingerprint(bytes)),
            FilterCode::Image { .. } => format!("{FOLDER}/plugin.wasm"),
        }
    }

    /// A name for what other namespaces see: another installation must have another. It is the value
    /// of a label, too.
    pub(super) fn name_in_cluster(&self) -> String {
        let name = format!("{NAME}-{}", self.namespace);
        if self.namespace == NAME {
            return NAME.to_owned();
        }
        if name.len() <= LONGEST_LABEL {
            return name;
        }
        let fingerprint = format!("-{}", fingerprint(self.namespace.as_bytes()));
        let start: String = name.chars().take(LONGEST_LABEL.saturating_sub(fingerprint.len())).collect();
        start + &fingerprint
    }

    /// The start of the names of what pods mount, which is in their namespace.
    fn name_near_pods(&self) -> String {
        if self.pods_namespace == self.namespace { NAME.to_owned() } else { self.name_in_cluster() }
    }

    /// The Secret with the variables. The operator creates it.
    pub(crate) fn secret(&self) -> String {
        self.name_near_pods()
    }

    fn config_map_name(&self, bytes: &[u8]) -> String {
        format!("{}-filter-{}", self.name_near_pods(), fingerprint(bytes))
    }

    /// An object in the namespace of the rendered objects.
    pub(super) fn namespaced(&self, api: &str, kind: &str, name: &str, body: Value) -> Value {
        object_of(api, kind, metadata(name, &self.namespace), body)
    }

    /// The ConfigMap with the filter, unless it is in an image.
    pub(super) fn filter_config_map(&self) -> Option<Value> {
        let FilterCode::ConfigMap(bytes) = &self.code else { return None };
        let file = format!("{}.wasm", fingerprint(bytes));
        let body = json!({"immutable": true, "binaryData": {file: BASE64.encode(bytes)}});
        let metadata = metadata(&self.config_map_name(bytes), &self.pods_namespace);
        Some(object_of("v1", "ConfigMap", metadata, body))
    }

    /// Volumes of the gateway's pods, and the mounts of its container.
    pub(super) fn volumes(&self, image_volume: bool) -> (Vec<Value>, Vec<Value>) {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        let filter = match &self.code {
            FilterCode::ConfigMap(bytes) => {
                Some(json!({"name": "filter", "configMap": {"name": self.config_map_name(bytes)}}))
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

    /// The filter's variables. One that is not set for `render` is optional.
    pub(super) fn env(&self) -> Vec<Value> {
        let secret = self.secret();
        let variable = |(name, is_set): &(String, bool)| {
            let key = json!({"name": secret, "key": name});
            let key = with(key, "optional", (!is_set).then_some(Value::Bool(true)));
            json!({"name": name, "valueFrom": {"secretKeyRef": key}})
        };
        self.variables.iter().map(variable).collect()
    }

    /// One without Redis: two gateways would each allow the whole limit.
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

/// Of all rendered objects.
pub(super) fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

pub(super) fn object_of(api: &str, kind: &str, metadata: Value, body: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
    if let (Value::Object(object), Value::Object(body)) = (&mut object, body) {
        object.extend(body);
    }
    object
}

/// The body of the 503 until the control plane applies the patches. `advice` is where to look then.
pub(super) fn not_patched(advice: &str) -> String {
    let message = format!("The gateway has not been patched: {advice}.");
    json!({"error": {"message": message, "type": "internal_server_error", "param": null, "code": "503"}})
        .to_string()
}

/// The first 32 bits of the SHA-256, in hexadecimal.
fn fingerprint(bytes: &[u8]) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(bytes));
    digest.chars().take(8).collect()
}
