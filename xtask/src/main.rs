//! `xtask image-wasm [FOLDER]`: packs the built filter as an OCI image, with a bill of materials
//! beside it, and prints the digest.
//!
//! `xtask sbom ENVOY TREE [FOLDER]`: writes the bills of the program and of the container image,
//! whose content is in TREE. FOLDER is `target` by default.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::sbom::{self, Bill};
use xtask::{filter_file, hold_file, image, program_file};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The filter's target.
const WASM: &str = "wasm32-wasip1";

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let folder = |nth: usize| arguments.get(nth).cloned().unwrap_or_else(|| root().join("target"));
    match arguments.first().and_then(|command| command.to_str()) {
        Some("image-wasm") => image_wasm(&folder(1)),
        Some("sbom") if arguments.len() >= 3 => sbom(&arguments[1], &arguments[2], &folder(3)),
        _ => Err(Error::other("usage: xtask image-wasm [FOLDER], xtask sbom ENVOY TREE [FOLDER]")),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn image_wasm(folder: &Path) -> Result<()> {
    let filter = fs::read(filter_file())?;
    let image = folder.join("llm-balancer-filter.oci");
    let bill = folder.join("llm-balancer-filter.cdx.json");
    let digest = image::pack(&filter, VERSION, &image)?;
    write(&bill, &filter_bill(&filter)?)?;
    println!("{digest}");
    let (image, bill) = (image.display(), bill.display());
    eprintln!("{image} (OCI image layout) and {bill} (CycloneDX)");
    eprintln!("for example: skopeo copy oci:{image} docker://registry.example/llm-balancer-filter:{VERSION}");
    Ok(())
}

/// The program without Envoy, and the image with both.
fn sbom(envoy: &Path, tree: &Path, folder: &Path) -> Result<()> {
    let program = program_bill()?;
    let [of_program, of_image] =
        ["llm-balancer.cdx.json", "llm-balancer-image.cdx.json"].map(|name| folder.join(name));
    write(&of_program, &program)?;
    let mut image = Bill::of_image("llm-balancer", VERSION, tree)?;
    image.include(program);
    image.add(sbom::envoy(&envoy_version(envoy)?, &fs::read(envoy)?));
    write(&of_image, &image)?;
    eprintln!("{} and {} (CycloneDX)", of_program.display(), of_image.display());
    Ok(())
}

fn filter_bill(filter: &[u8]) -> Result<Bill> {
    Ok(Bill::of_crates(&metadata(WASM)?, "llm-balancer-filter", filter))
}

/// The program has the filter and the module that holds responses inside, which are no
/// dependencies of its crate.
fn program_bill() -> Result<Bill> {
    let mut program = Bill::of_crates(&metadata(&host()?)?, "llm-balancer", &fs::read(program_file())?);
    program.include(filter_bill(&fs::read(filter_file())?)?);
    program.include(Bill::of_crates(&metadata(WASM)?, "llm-balancer-hold", &fs::read(hold_file())?));
    Ok(program)
}

fn write(file: &Path, bill: &Bill) -> Result<()> {
    fs::write(file, serde_json::to_string_pretty(&bill.json())?)
}

/// The packages of this workspace as `cargo metadata` describes them for a target.
fn metadata(target: &str) -> Result<Value> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    Ok(serde_json::from_str(&output(command.current_dir(root()))?)?)
}

/// The target of this machine.
fn host() -> Result<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::other("rustc names no host"))
}

/// The version that Envoy prints.
fn envoy_version(envoy: &Path) -> Result<String> {
    let about = output(Command::new(envoy).arg("--version"))?;
    let version = sbom::envoy_version(&about);
    version.map(str::to_owned).ok_or_else(|| Error::other(format!("no version in {about:?}")))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
