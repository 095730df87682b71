//! `render`: the bootstrap for an Envoy that somebody else runs.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use crate::cli::{Render, Target};
use crate::configuration::Usable;
use crate::failure::Failure;
use crate::render::{Options, bootstrap, to_yaml};
use crate::{cas, configuration, files, filter, listen, socket};

/// Writes the bootstrap and the filter into a folder, or the bootstrap alone to standard output.
pub fn render(args: &Render) -> Result<ExitCode, Failure> {
    if args.target != Target::Envoy {
        return Err(Failure::Usage("--target: not in this version, which renders for envoy only".to_owned()));
    }
    let Usable { config, text, .. } = configuration::usable(&args.config)?;
    let address = listen::address(&args.listen, &config)?;
    let options = Options {
        listen: address,
        admin_port: args.listen.admin_port,
        metrics: listen::metrics(&args.listen, address),
        // Relative to where Envoy is started.
        filter: FILTER.to_owned(),
        system_cas: cas::find(&config, env::var("SSL_CERT_FILE").ok())?,
        redis_socket: socket::path(&config, &args.redis_socket, "choose a shorter --redis-socket")?,
    };
    if config.redis.is_some() {
        eprintln!(
            "it makes the socket {} on the way to Redis, in a folder that must be there and be Envoy's own: --redis-socket PATH chooses another",
            options.redis_socket
        );
    }
    match &args.out {
        None => {
            print!("{}", yaml(&bootstrap(&config, &text, &options))?);
            eprintln!("it loads {FILTER} from the folder that Envoy is started in: --out DIR writes both");
        }
        Some(dir) => {
            let bytes = filter::bytes().map_err(Failure::Machine)?;
            let folder = folder(dir).map_err(|error| cannot_write(dir, &error))?;
            let options = Options { filter: folder.join(FILTER).display().to_string(), ..options };
            let bootstrap = yaml(&bootstrap(&config, &text, &options))?;
            files::write_private(&folder.join(FILTER), bytes)
                .and_then(|()| files::write_private(&folder.join(BOOTSTRAP), bootstrap.as_bytes()))
                .map_err(|error| cannot_write(dir, &error))?;
            eprintln!("envoy --config-path {}", folder.join(BOOTSTRAP).display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.yaml";

fn yaml(bootstrap: &serde_json::Value) -> Result<String, Failure> {
    to_yaml(bootstrap).map_err(|error| Failure::Machine(format!("cannot write YAML: {error}")))
}

fn folder(dir: &Path) -> io::Result<std::path::PathBuf> {
    fs::create_dir_all(dir)?;
    fs::canonicalize(dir)
}

fn cannot_write(dir: &Path, error: &io::Error) -> Failure {
    Failure::Machine(format!("cannot write to {}: {error}", dir.display()))
}
