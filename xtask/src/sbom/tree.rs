//! The files of an image that come from the machine that builds it: shared libraries and the CA
//! bundle. Where Debian's dpkg knows a file, its package is the component.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::{Value, json};

use super::hashes;

/// Programs, which have a bill of their own.
const PROGRAMS: &str = "usr/local/bin";

/// A component for each package with its files, and for each file without a package.
pub(super) fn components(folder: &Path) -> io::Result<Vec<Value>> {
    let mut by_package: BTreeMap<String, Value> = BTreeMap::new();
    for file in files(folder)? {
        let path = file.strip_prefix(folder).unwrap_or(&file);
        if path.starts_with(PROGRAMS) {
            continue;
        }
        let path = format!("/{}", path.display());
        let entry = json!({"type": "file", "bom-ref": format!("file:{path}"), "name": path, "hashes": hashes(&fs::read(&file)?)});
        match package(&path) {
            Some(package) => {
                let component = by_package.entry(package["bom-ref"].to_string()).or_insert(package);
                if let Some(files) = component["components"].as_array_mut() {
                    files.push(entry);
                }
            }
            None => drop(by_package.insert(path, entry)),
        }
    }
    Ok(by_package.into_values().collect())
}

/// All files below a folder, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.extend(files(&entry.path())?);
        } else {
            all.push(entry.path());
        }
    }
    all.sort();
    Ok(all)
}

/// The Debian package that has this file, without files. `None` elsewhere than on Debian, and for
/// files that are made when a package is installed.
fn package(path: &str) -> Option<Value> {
    // dpkg knows a file by the path that its package has, before or after the merge of /usr.
    let merged = format!("/usr{path}");
    let before = path.strip_prefix("/usr").unwrap_or(path);
    let owner = [path, &merged, before].into_iter().find_map(|path| query(&["--search", path]))?;
    let package = owner.lines().next()?.split(": ").next()?.split(',').next()?.to_owned();
    let shown = query(&["--show", "--showformat", "${Package} ${Version} ${Architecture}", &package])?;
    let mut words = shown.split(' ');
    let (name, version, architecture) = (words.next()?, words.next()?, words.next()?);
    let purl = format!("pkg:deb/debian/{name}@{}?arch={architecture}", version.replace('+', "%2B"));
    Some(
        json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "components": []}),
    )
}

fn query(arguments: &[&str]) -> Option<String> {
    let output = Command::new("dpkg-query").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
