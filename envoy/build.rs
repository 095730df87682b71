//! Embeds the modules for Envoy: `$LLM_BALANCER_FILTER`, or the release build of
//! `llm-balancer-filter` and its small build, and `llm-balancer-hold` beside it. Without them the
//! crate compiles, for the linter, and the program reports that it has no filter. The filter of the
//! listener to Redis is small enough to be a text here.
//!
//! The filter as a native library is `$LLM_BALANCER_MODULE`, or that of `make build` unless
//! `$LLM_BALANCER_FILTER` names another filter. Without it the program uses WebAssembly.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of the listener's filter.
const REDIS_HOP: &str = "src/render/redis_hop.wat";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=LLM_BALANCER_FILTER");
    println!("cargo::rerun-if-env-changed=LLM_BALANCER_MODULE");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    let (filter, small) = filters()?;
    let hold = filter.with_file_name("llm_balancer_hold.wasm");
    let mut code = String::new();
    for (name, file) in [("FILTER", filter), ("SMALL", small), ("HOLD", hold)] {
        code += &format!("const {name}: Option<&[u8]> = {};\n", embedded(&file)?);
    }
    let module = module()?.map_or_else(|| Ok("None".to_owned()), |file| embedded(&file))?;
    code += &format!("const MODULE: Option<&[u8]> = {module};\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("filter.rs"), code)?;
    println!("cargo::rerun-if-changed={REDIS_HOP}");
    fs::write(out.join("redis_hop.wasm"), wat::parse_file(REDIS_HOP)?)?;
    Ok(())
}

/// The expression that has the bytes of a file, if there is one.
fn embedded(file: &Path) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", file.display());
    if !file.is_file() {
        return Ok("None".to_owned());
    }
    Ok(format!("Some(include_bytes!({:?}))", fs::canonicalize(file)?))
}

/// The filter, and its small build. A filter that is named stands for both.
fn filters() -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
    if let Some(file) = env::var_os("LLM_BALANCER_FILTER") {
        return Ok((PathBuf::from(&file), file.into()));
    }
    let target = target()?;
    let of = |profile: &str| target.join("wasm32-wasip1").join(profile).join("llm_balancer_filter.wasm");
    Ok((of("release"), of("small")))
}

/// The native library of the filter. One that is named must exist.
fn module() -> Result<Option<PathBuf>, Box<dyn Error>> {
    match env::var_os("LLM_BALANCER_MODULE").map(PathBuf::from) {
        Some(file) if file.is_file() => Ok(Some(file)),
        Some(file) => Err(format!("LLM_BALANCER_MODULE: no such file: {}", file.display()).into()),
        None if env::var_os("LLM_BALANCER_FILTER").is_some() => Ok(None),
        None => Ok(Some(target()?.join("module/libllm_balancer_filter.so"))),
    }
}

fn target() -> Result<PathBuf, Box<dyn Error>> {
    Ok(match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => target.into(),
        None => Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../target"),
    })
}
