//! `render --target istio` and `--target envoy-gateway`: Kubernetes objects, and what the operator
//! has to add.

use data_encoding::BASE64;
use llm_balancer_config::{Config, Proxies, Tls, json_document};
use serde_json::{Value, json};

use super::output::{OutputFolder, socket_path};
use crate::cli::{MeshArgs, Profile, RenderArgs, Target};
use crate::render::mesh::{FilterCode, Mesh, SYSTEM_CAS};
use crate::render::{FilterSource, Hops, Options, bootstrap, to_documents};
use crate::support::command_error::CommandError;
use crate::support::messages::message;
use crate::support::standard_output::print_file;
use crate::support::{embedded_filter, environment_notes, listen};

/// Bytes of a filter that fit into a ConfigMap: its limit of 1 MiB counts names too.
const CONFIG_MAP: usize = 1024 * 1024 - 4096;

/// The price of one hop in a gateway.
const ONE_HOP: &str = "--hops 1: after a failed first attempt the gateway's own filters see the request again, as the provider got it; with filters that check or count requests leave it out, docs/istio.md says which";

pub(super) fn render(
    args: &RenderArgs,
    config: &Config,
    parsed: &[u8],
    objects: fn(Value, &Mesh) -> Vec<Value>,
) -> Result<(), CommandError> {
    let mesh = mesh(args, config)?;
    let hops = args.listen.hops.unwrap_or(Hops::Two);
    let options = Options {
        // Not rendered: the gateway has an address of its own.
        listen: ([127, 0, 0, 1], args.listen.port()).into(),
        admin_port: args.listen.admin_port(),
        metrics: None,
        filter: FilterSource::Wasm {
            filter: mesh.filter_file(),
            hold: match hops {
                // A few hundred bytes, which need no file in the pods.
                Hops::One => json!({"inline_bytes": BASE64.encode(embedded_filter::hold()?)}),
                // Nothing holds a response: without a filter built, this renders.
                Hops::Two => Value::Null,
            },
        },
        hops,
        system_cas: SYSTEM_CAS.to_owned(),
        redis_socket: socket_path(args, config)?,
        proxy_changes: 0,
        max_connections: Options::MAX_CONNECTIONS,
    };
    // The forward proxies of this machine are not those of the gateway's pods.
    let direct = Config { proxies: Proxies::default(), ..config.clone() };
    let objects = objects(bootstrap(&direct, &json_document(parsed), &options), &mesh);
    match &args.out {
        None => _ = print_file(to_documents(&objects)?.as_bytes())?,
        Some(dir) => write(&OutputFolder::create(dir)?, &objects)?,
    }
    if hops == Hops::One {
        message!("note: {ONE_HOP}");
    }
    for remark in remarks(config, &mesh) {
        message!("note: {remark}");
    }
    Ok(())
}

/// One file per object, numbered: `kubectl apply -f` goes by the files' names.
fn write(folder: &OutputFolder, objects: &[Value]) -> Result<(), CommandError> {
    let mut written = Vec::new();
    for (number, object) in (1_u32..).zip(objects) {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let name = format!("{number:02}-{kind}.yaml");
        folder.write(&name, to_documents(std::slice::from_ref(object))?.as_bytes())?;
        written.push(name);
    }
    for name in folder.remove_others(&written)? {
        message!("removed {}, left from an earlier render", folder.file(&name).display());
    }
    // A client-side apply keeps the object in an annotation, for which a ConfigMap with the filter
    // is too large.
    message!("kubectl apply --server-side -f {}", folder.path().display());
    Ok(())
}

/// The mesh that the command line describes.
fn mesh(args: &RenderArgs, config: &Config) -> Result<Mesh, CommandError> {
    let MeshArgs { namespace, pods_namespace, hostname, tls_secret, filter_image, profile } = &args.mesh;
    if config.server.master_key.is_none() && !args.listen.insecure_no_auth {
        return Err(listen::no_key("a gateway"));
    }
    let code = match filter_image {
        Some(image) => image_code(image)?,
        None => config_map_code(embedded_filter::small()?)?,
    };
    let is_set = |name: &String| std::env::var_os(name).is_some();
    let namespace = namespace.clone().unwrap_or_else(|| "llm-balancer".to_owned());
    Ok(Mesh {
        pods_namespace: match args.target {
            Target::EnvoyGateway => {
                pods_namespace.clone().unwrap_or_else(|| "envoy-gateway-system".to_owned())
            }
            Target::Envoy | Target::Istio => namespace.clone(),
        },
        namespace,
        hostnames: hostname.clone(),
        tls_secret: tls_secret.clone(),
        code,
        single_hop: *profile == Profile::SingleHop,
        variables: config.env_names.iter().map(|name| (name.clone(), is_set(name))).collect(),
        redis_socket: config.redis.as_ref().map(|_| args.redis_socket.clone()),
    })
}

fn image_code(image: &str) -> Result<FilterCode, CommandError> {
    let reference = image.strip_prefix("oci://").unwrap_or(image);
    let digest = reference.rsplit_once("@sha256:").map(|(_, digest)| digest);
    let is_digest = |digest: &&str| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digest.filter(is_digest) {
        Some(sha256) => Ok(FilterCode::Image { reference: reference.to_owned(), sha256: sha256.to_owned() }),
        None => Err(CommandError::Usage(format!(
            "--filter-image {image}: expected an image with its digest, as `make image-wasm` prints it: oci://registry.example/llm-balancer-filter@sha256:.."
        ))),
    }
}

fn config_map_code(bytes: &'static [u8]) -> Result<FilterCode, CommandError> {
    if bytes.len() > CONFIG_MAP {
        return Err(CommandError::Io(format!(
            "the filter has {} bytes, a ConfigMap holds {CONFIG_MAP}: push the image that `make image-wasm` packs, and name it in --filter-image",
            bytes.len()
        )));
    }
    Ok(FilterCode::ConfigMap(bytes))
}

/// What single hop cannot do, and what the cluster needs beside the rendered objects.
fn remarks(config: &Config, mesh: &Mesh) -> Vec<String> {
    let mut remarks = Vec::new();
    if mesh.single_hop {
        remarks.push("single-hop: retries stay with the selected deployment, and failures lead to no fallback; docs/istio.md and docs/envoy-gateway.md list all limits".to_owned());
    }
    if !mesh.variables.is_empty() {
        let (secret, namespace) = (mesh.secret(), &mesh.pods_namespace);
        let names: Vec<_> = mesh.variables.iter().filter(|(_, is_set)| *is_set).collect();
        let literals: String =
            names.iter().map(|(name, _)| format!(" --from-literal={name}=\"${name}\"")).collect();
        remarks.push(format!(
            "the filter reads its variables from a Secret: kubectl create secret generic {secret} -n {namespace}{literals}"
        ));
    }
    let proxies = environment_notes::proxies(config).into_iter();
    remarks.extend(proxies.map(|line| {
        format!("{line} from this machine, but directly from the gateway: give its pods a way out, such as an egress gateway")
    }));
    let files = config.deployments.iter().map(|deployment| &deployment.endpoint.tls);
    for tls in files.chain(config.redis.as_ref().map(|redis| &redis.tls)) {
        if let Tls::CaFile(file) = tls {
            remarks.push(format!("mount the CA file {file} in the gateway's pods"));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::mesh::tests::mesh;

    #[test]
    fn an_image_without_a_digest_could_be_another_one_tomorrow() {
        for image in ["oci://registry.example/filter:latest", "oci://registry.example/filter@sha256:abc"] {
            assert!(matches!(image_code(image), Err(CommandError::Usage(_))), "{image}");
        }
        let image = format!("oci://registry.example/filter@sha256:{}", "a".repeat(64));
        let Ok(FilterCode::Image { reference, sha256 }) = image_code(&image) else { panic!("refused") };
        assert_eq!((reference, sha256), (image.replace("oci://", ""), "a".repeat(64)));
    }

    #[test]
    fn a_proxy_of_this_machine_is_not_the_gateways_and_a_note_says_so() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| "http://ada:secret@p:3128".to_owned());
        let config = llm_balancer_config::read("config.yaml", text, &lookup).config.unwrap();
        let remarks = remarks(&config, &mesh());
        let about: Vec<_> = remarks.iter().filter(|remark| remark.contains("HTTPS_PROXY")).collect();
        assert!(matches!(about.as_slice(), [remark] if !remark.contains("secret")), "{remarks:?}");
    }

    #[test]
    fn a_filter_too_large_for_a_config_map_is_not_put_into_one() {
        let large: &'static [u8] = vec![0; CONFIG_MAP + 1].leak();
        assert!(matches!(config_map_code(large), Err(CommandError::Io(_))));
    }
}
