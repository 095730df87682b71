//! The crates that are compiled into an artifact and no others, by `cargo metadata` for its target.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Bill, hashes};

/// The bill for the package of this name.
pub(super) fn bill(metadata: &Value, package: &str, artifact: &[u8]) -> Bill {
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let needs = linked(metadata);
    let root = packages.iter().find(|(_, found)| found["name"] == package).map(|(id, _)| id.clone());
    let root = root.unwrap_or_default();
    let mut about = packages.get(&root).map(component).unwrap_or_default();
    about["hashes"] = hashes(artifact);
    let mut bill = Bill::of(about);
    let purls = |ids: &BTreeSet<String>| ids.iter().filter_map(|id| packages.get(id)).map(purl).collect();
    for id in inside(&root, &needs) {
        let Some(package) = packages.get(&id) else { continue };
        if id != root {
            bill.components.insert(purl(package), component(package));
        }
        bill.dependencies.insert(purl(package), needs.get(&id).map(purls).unwrap_or_default());
    }
    bill
}

/// The packages that are linked into each package.
fn linked(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    // `null` is the kind of what is linked in; others build or test.
    let is_linked =
        |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    let needs = |node: &Value| {
        let deps = list(&node["deps"]).into_iter().filter(is_linked);
        (text(&node["id"]), deps.map(|dependency| text(&dependency["pkg"])).collect())
    };
    list(&metadata["resolve"]["nodes"]).iter().map(needs).collect()
}

/// A package and all that it needs.
fn inside(root: &str, needs: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut inside = BTreeSet::new();
    let mut next = vec![root.to_owned()];
    while let Some(id) = next.pop() {
        if inside.insert(id.clone()) {
            next.extend(needs.get(&id).into_iter().flatten().cloned());
        }
    }
    inside
}

fn component(package: &Value) -> Value {
    let kind = list(&package["targets"]).iter().any(|target| target["kind"][0] == "bin");
    let mut component = json!({
        "type": if kind { "application" } else { "library" },
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

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
