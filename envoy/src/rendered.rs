//! `render`: the bootstrap for an Envoy that somebody else runs, or the Kubernetes objects for a gateway that does.

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use llm_balancer_config::{Config, Proxies};
use serde_json::Value;

use crate::cli::{Render, Target};
use crate::configuration::Usable;
use crate::failure::Failure;
use crate::mesh;
use crate::render::kubernetes::SYSTEM_CAS;
use crate::render::{Options, bootstrap, envoy_gateway, forward_proxy, istio, to_documents, to_yaml};
use crate::{cas, configuration, files, filter, listen, socket, surroundings};

/// Writes everything that the target needs into a folder, or to standard output what people read.
pub fn render(args: &Render) -> Result<ExitCode, Failure> {
    let Usable { config, text, .. } = configuration::usable(&args.config)?;
    match args.target {
        Target::Envoy => for_envoy(args, &config, &text)?,
        Target::Istio => for_mesh(args, &config, &text, istio::objects)?,
        Target::EnvoyGateway => for_mesh(args, &config, &text, envoy_gateway::objects)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn for_envoy(args: &Render, config: &Config, text: &str) -> Result<(), Failure> {
    let address = listen::address(&args.listen, config)?;
    let options = Options {
        listen: address,
        admin_port: args.listen.admin_port,
        metrics: listen::metrics(&args.listen, address),
        // Relative to where Envoy is started.
        filter: FILTER.to_owned(),
        system_cas: cas::find(config)?,
        redis_socket: socket_path(args, config)?,
    };
    if config.redis.is_some() {
        eprintln!(
            "it makes the socket {} on the way to Redis, in a folder that must be there and be Envoy's own: --redis-socket PATH chooses another",
            options.redis_socket
        );
    }
    surroundings::proxies(config).iter().for_each(|line| eprintln!("{line}"));
    for name in forward_proxy::variables(config).keys() {
        eprintln!(
            "{name} must be in Envoy's environment: \"Basic $(printf %s 'user:password' | base64 -w0)\""
        );
    }
    match &args.out {
        None => {
            print!("{}", yaml(&bootstrap(config, text, &options))?);
            eprintln!("it loads {FILTER} from the folder that Envoy is started in: --out DIR writes both");
        }
        Some(dir) => {
            let bytes = filter::bytes().map_err(Failure::Machine)?;
            let folder = folder(dir).map_err(|error| cannot_write(dir, &error))?;
            let options = Options { filter: folder.join(FILTER).display().to_string(), ..options };
            let bootstrap = yaml(&bootstrap(config, text, &options))?;
            files::write_private(&folder.join(FILTER), bytes)
                .and_then(|()| files::write_private(&folder.join(BOOTSTRAP), bootstrap.as_bytes()))
                .map_err(|error| cannot_write(dir, &error))?;
            eprintln!("envoy --config-path {}", folder.join(BOOTSTRAP).display());
        }
    }
    Ok(())
}

fn for_mesh(
    args: &Render,
    config: &Config,
    text: &str,
    objects: fn(Value, &mesh::Mesh) -> Vec<Value>,
) -> Result<(), Failure> {
    let mesh = mesh::mesh(args, config)?;
    let options = Options {
        // The gateway's own address takes its place.
        listen: ([127, 0, 0, 1], args.listen.port).into(),
        admin_port: args.listen.admin_port,
        metrics: None,
        filter: mesh.filter_file(),
        system_cas: SYSTEM_CAS.to_owned(),
        redis_socket: socket_path(args, config)?,
    };
    // The proxies of this machine are not those of the gateway's pods.
    let direct = Config { proxies: Proxies::default(), ..config.clone() };
    let objects = objects(bootstrap(&direct, text, &options), &mesh);
    match &args.out {
        None => print!("{}", documents(&objects)?),
        Some(dir) => {
            let folder = folder(dir).map_err(|error| cannot_write(dir, &error))?;
            // Numbered: `kubectl apply -f` goes by the files' names.
            let mut written = Vec::new();
            for (number, object) in (1_u32..).zip(&objects) {
                let kind =
                    object.get("kind").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
                let name = format!("{number:02}-{kind}.yaml");
                files::write_private(
                    &folder.join(&name),
                    documents(std::slice::from_ref(object))?.as_bytes(),
                )
                .map_err(|error| cannot_write(dir, &error))?;
                written.push(name);
            }
            for name in remove_others(&folder, &written).map_err(|error| cannot_write(dir, &error))? {
                eprintln!("removed {}, which was rendered before", folder.join(name).display());
            }
            // A filter in a ConfigMap is too large for the annotation that a client-side apply keeps.
            eprintln!("kubectl apply --server-side -f {}", folder.display());
        }
    }
    for remark in mesh::remarks(config, &mesh) {
        eprintln!("{remark}");
    }
    Ok(())
}

/// Removes what was rendered here before and is not any more, which `kubectl apply` would take for part of it: a later
/// number wins over an earlier one.
fn remove_others(folder: &Path, written: &[String]) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_numbered(&name) && !written.contains(&name) && !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

/// `07-service.yaml`, as `render` names its files.
fn is_numbered(name: &str) -> bool {
    let parts = name.strip_suffix(".yaml").and_then(|name| name.split_once('-'));
    parts.is_some_and(|(number, kind)| {
        let digits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        digits && !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.yaml";

fn socket_path(args: &Render, config: &Config) -> Result<String, Failure> {
    socket::path(config, &args.redis_socket, "choose a shorter --redis-socket")
}

fn yaml(bootstrap: &Value) -> Result<String, Failure> {
    to_yaml(bootstrap).map_err(|error| no_yaml(error.as_ref()))
}

fn documents(objects: &[Value]) -> Result<String, Failure> {
    to_documents(objects).map_err(|error| no_yaml(error.as_ref()))
}

fn no_yaml(error: &dyn std::error::Error) -> Failure {
    Failure::Machine(format!("cannot write YAML: {error}"))
}

fn folder(dir: &Path) -> io::Result<std::path::PathBuf> {
    fs::create_dir_all(dir)?;
    fs::canonicalize(dir)
}

fn cannot_write(dir: &Path, error: &io::Error) -> Failure {
    Failure::Machine(format!("cannot write to {}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_before_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let others = [
            "1-role.yaml",
            "001-role.yaml",
            "01-My-role.yaml",
            "02-role.yml",
            "kustomization.yaml",
            "03-.yaml",
        ];
        let numbered = ["01-configmap.yaml", "02-role.yaml", "02-service.yaml", "09-envoyfilter.yaml"];
        for name in others.iter().chain(&numbered) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("04-folder.yaml")).unwrap();
        let written = ["01-configmap.yaml".to_owned(), "02-service.yaml".to_owned()];
        let removed = remove_others(dir.path(), &written).unwrap();
        assert_eq!(removed, ["02-role.yaml", "09-envoyfilter.yaml"]);
        let is_there = |name: &&str| dir.path().join(name).exists();
        assert!(others.iter().all(is_there));
        assert!(
            is_there(&"01-configmap.yaml") && is_there(&"02-service.yaml") && is_there(&"04-folder.yaml")
        );
        assert!(!is_there(&"02-role.yaml") && !is_there(&"09-envoyfilter.yaml"));
        assert_eq!(remove_others(dir.path(), &written).unwrap(), Vec::<String>::new());
    }
}
