//! `render`: the bootstrap for an Envoy that somebody else runs, or the Kubernetes objects for a gateway that does.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use llm_balancer_config::Config;
use serde_json::Value;

use crate::cli::{Render, Target};
use crate::configuration::Usable;
use crate::failure::Failure;
use crate::mesh;
use crate::render::kubernetes::SYSTEM_CAS;
use crate::render::{Options, bootstrap, envoy_gateway, istio, to_documents, to_yaml};
use crate::{cas, configuration, files, filter, listen, socket};

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
        system_cas: cas::find(config, env::var("SSL_CERT_FILE").ok())?,
        redis_socket: socket_path(args, config)?,
    };
    if config.redis.is_some() {
        eprintln!(
            "it makes the socket {} on the way to Redis, in a folder that must be there and be Envoy's own: --redis-socket PATH chooses another",
            options.redis_socket
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
    let objects = objects(bootstrap(config, text, &options), &mesh);
    match &args.out {
        None => print!("{}", documents(&objects)?),
        Some(dir) => {
            let folder = folder(dir).map_err(|error| cannot_write(dir, &error))?;
            // Numbered: `kubectl apply -f` goes by the files' names.
            for (number, object) in (1_u32..).zip(&objects) {
                let kind =
                    object.get("kind").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
                let file = folder.join(format!("{number:02}-{kind}.yaml"));
                files::write_private(&file, documents(std::slice::from_ref(object))?.as_bytes())
                    .map_err(|error| cannot_write(dir, &error))?;
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
