//! `render --target envoy`: a bootstrap and the filter.

use llm_balancer_config::{Config, names};
use serde_json::json;

use super::output::{OutputFolder, socket_path};
use crate::cli::RenderArgs;
use crate::render::{FilterSource, Options, bootstrap, proxy_variables, to_yaml};
use crate::support::command_error::CommandError;
use crate::support::messages::message;
use crate::support::standard_output::print_file;
use crate::support::{ca_bundle, embedded_filter, environment_notes, listen};

const FILTER: &str = "filter.wasm";
const BOOTSTRAP: &str = "bootstrap.yaml";

pub(super) fn render(args: &RenderArgs, config: &Config, text: &str) -> Result<(), CommandError> {
    let address = listen::address(&args.listen, config)?;
    let (system_cas, redis_socket) = (ca_bundle::find(config)?, socket_path(args, config)?);
    let folder = args.out.as_deref().map(OutputFolder::create).transpose()?;
    // Without a folder, relative to Envoy's working directory.
    let file = |name: &str| match &folder {
        Some(folder) => folder.file(name).display().to_string(),
        None => name.to_owned(),
    };
    let options = Options {
        listen: address,
        admin_port: args.listen.admin_port(),
        metrics: listen::metrics(&args.listen, address),
        filter: FilterSource::Wasm {
            filter: file(FILTER),
            hold: json!({"filename": file(names::HOLD_FILE)}),
        },
        hops: args.listen.hops(),
        system_cas,
        redis_socket,
        proxy_changes: 0,
        max_connections: Options::MAX_CONNECTIONS,
    };
    print_requirements(config, &options);
    let bootstrap = to_yaml(&bootstrap(config, text, &options))?;
    match &folder {
        None => {
            print_file(bootstrap.as_bytes())?;
            message!(
                "note: Envoy loads {FILTER} and {} from its working directory; --out DIR writes all files",
                names::HOLD_FILE
            );
        }
        Some(folder) => {
            folder.write(FILTER, embedded_filter::bytes()?)?;
            folder.write(names::HOLD_FILE, embedded_filter::hold()?)?;
            folder.write(BOOTSTRAP, bootstrap.as_bytes())?;
            // Envoy's own ten seconds are long for an access log.
            message!(
                "envoy --config-path {} --file-flush-interval-msec 1000",
                folder.file(BOOTSTRAP).display()
            );
        }
    }
    Ok(())
}

/// What the bootstrap needs around it.
fn print_requirements(config: &Config, options: &Options) {
    if config.redis.is_some() {
        message!(
            "note: Envoy makes the socket {} to Redis, in a folder that must exist and be Envoy's own; --redis-socket PATH chooses another",
            options.redis_socket
        );
    }
    environment_notes::proxies(config).iter().for_each(|line| message!("note: {line}"));
    for name in proxy_variables(config).keys() {
        message!(
            "note: Envoy's environment must set {name}: \"Basic $(printf %s 'user:password' | base64 -w0)\""
        );
    }
}
