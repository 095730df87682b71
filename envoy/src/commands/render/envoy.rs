//! `render --target envoy`: a bootstrap and the filter.

use llm_balancer_config::Config;

use super::output::{cannot_write, folder, socket_path, yaml};
use crate::cli::Render;
use crate::render::{Options, bootstrap, proxy_variables};
use crate::support::failure::Failure;
use crate::support::{ca_bundle, embedded_filter, environment, files, listen};

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.yaml";

pub(super) fn render(args: &Render, config: &Config, text: &str) -> Result<(), Failure> {
    let address = listen::address(&args.listen, config)?;
    let options = Options {
        listen: address,
        admin_port: args.listen.admin_port,
        metrics: listen::metrics(&args.listen, address),
        // Relative to where Envoy is started.
        filter: FILTER.to_owned(),
        system_cas: ca_bundle::find(config)?,
        redis_socket: socket_path(args, config)?,
    };
    if config.redis.is_some() {
        eprintln!(
            "it makes the socket {} on the way to Redis, in a folder that must be there and be Envoy's own: --redis-socket PATH chooses another",
            options.redis_socket
        );
    }
    environment::proxies(config).iter().for_each(|line| eprintln!("{line}"));
    for name in proxy_variables(config).keys() {
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
            let bytes = embedded_filter::bytes().map_err(Failure::Machine)?;
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
