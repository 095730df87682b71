//! What the filter is made of: a CycloneDX bill of materials from `cargo metadata`, of the crates
//! that are compiled into it and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::image::digest;

/// The bill for the package of this name, by `cargo metadata --filter-platform wasm32-wasip1`.
pub fn bill(metadata: &Value, package: &str, filter: &[u8]) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, BTreeSet<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            // `null` is the kind of what is linked in; others build or test.
            let linked =
                |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let deps = list(&node["deps"]).into_iter().filter(linked);
            (text(&node["id"]), deps.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect();
    let root = packages.iter().find(|(_, found)| found["name"] == package).map(|(id, _)| id.clone());
    let root = root.unwrap_or_default();
    let mut inside = BTreeSet::new();
    let mut next = vec![root.clone()];
    while let Some(id) = next.pop() {
        if inside.insert(id.clone()) {
            next.extend(nodes.get(&id).into_iter().flatten().cloned());
        }
    }
    let reference = |id: &String| packages.get(id).map(purl).unwrap_or_default();
    let mut filter_component = packages.get(&root).map(component).unwrap_or_default();
    filter_component["hashes"] =
        json!([{"alg": "SHA-256", "content": digest(filter).replace("sha256:", "")}]);
    let components: Vec<_> =
        inside.iter().filter(|id| **id != root).filter_map(|id| packages.get(id)).map(component).collect();
    let dependencies: Vec<_> = inside
        .iter()
        .map(|id| {
            let on: Vec<_> = nodes.get(id).into_iter().flatten().map(&reference).collect();
            json!({"ref": reference(id), "dependsOn": on})
        })
        .collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": filter_component},
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(package: &Value) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    });
    if let Some(license) = package["license"].as_str() {
        // The slash is how it was written before SPDX expressions.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    component
}

fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
