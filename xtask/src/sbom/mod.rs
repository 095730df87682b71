//! What artifacts are made of, as CycloneDX 1.6: the filter, the program and the container image.
//!
//! | module | lists |
//! |---|---|
//! | `crates` | crates that are compiled in, by `cargo metadata` |
//! | `tree` | files of an image, by Debian package where one has them |

mod crates;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

use crate::image::digest;

/// A bill of materials.
#[derive(Clone, Debug)]
pub struct Bill {
    /// What it is about.
    about: Value,
    /// By their references.
    components: BTreeMap<String, Value>,
    /// The references that each component needs.
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

impl Bill {
    /// Of something that is made of nothing yet.
    pub fn of(about: Value) -> Self {
        let dependencies = BTreeMap::from([(reference(&about), BTreeSet::new())]);
        Self { about, components: BTreeMap::new(), dependencies }
    }

    /// The crates of a package by `cargo metadata`, compiled to this artifact.
    pub fn of_crates(metadata: &Value, package: &str, artifact: &[u8]) -> Self {
        crates::bill(metadata, package, artifact)
    }

    /// The files of an image, but for programs, which have bills of their own. The folder has a
    /// folder for each layer.
    pub fn of_image(name: &str, version: &str, layers: &Path) -> io::Result<Self> {
        let about = json!({
            "type": "container",
            "bom-ref": format!("pkg:oci/{name}@{version}"),
            "name": name,
            "version": version,
        });
        let mut bill = Self::of(about);
        for layer in fs::read_dir(layers)? {
            tree::components(&layer?.path())?.into_iter().for_each(|component| bill.add(component));
        }
        Ok(bill)
    }

    /// Adds a part that has no parts of its own.
    pub fn add(&mut self, component: Value) {
        self.include(Self::of(component));
    }

    /// Adds a part, with all that it is made of.
    pub fn include(&mut self, part: Self) {
        let own = self.dependencies.entry(reference(&self.about)).or_default();
        own.insert(reference(&part.about));
        self.components.insert(reference(&part.about), part.about);
        self.components.extend(part.components);
        for (of, on) in part.dependencies {
            self.dependencies.entry(of).or_default().extend(on);
        }
    }

    /// The document.
    pub fn json(&self) -> Value {
        let dependencies = self.dependencies.iter().map(|(of, on)| json!({"ref": of, "dependsOn": on}));
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": self.about},
            "components": self.components.values().collect::<Vec<_>>(),
            "dependencies": dependencies.collect::<Vec<_>>(),
        })
    }
}

/// `1.40.0` of `/usr/bin/envoy  version: 0123ab/1.40.0/Clean/RELEASE/BoringSSL`, which begins with
/// the path of the binary.
pub fn envoy_version(about: &str) -> Option<&str> {
    let (_, build) = about.split_once("version: ")?;
    build.split('/').nth(1)
}

/// Envoy, by the number of its version and its binary.
pub fn envoy(version: &str, binary: &[u8]) -> Value {
    json!({
        "type": "application",
        "bom-ref": format!("pkg:github/envoyproxy/envoy@v{version}"),
        "name": "envoy",
        "version": version,
        "cpe": format!("cpe:2.3:a:envoyproxy:envoy:{version}:*:*:*:*:*:*:*"),
        "purl": format!("pkg:github/envoyproxy/envoy@v{version}"),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": hashes(binary),
    })
}

/// The field `hashes` of a component.
fn hashes(content: &[u8]) -> Value {
    json!([{"alg": "SHA-256", "content": digest(content).replace("sha256:", "")}])
}

fn reference(component: &Value) -> String {
    component["bom-ref"].as_str().unwrap_or_default().to_owned()
}
