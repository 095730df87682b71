//! What `render` needs to know about a mesh, and what the operator still has to do there.

use clap::{Args, ValueEnum};
use llm_balancer_config::{Config, Tls};

use crate::cli::{Render, Target};
use crate::failure::Failure;
use crate::filter;
use crate::render::kubernetes::Code;
pub use crate::render::kubernetes::Mesh;
use crate::surroundings;

/// Options of `render` for Istio and Envoy Gateway.
#[derive(Args, Debug)]
#[command(next_help_heading = "In a mesh (--target istio, --target envoy-gateway)")]
pub struct MeshArgs {
    /// Namespace of everything that is rendered
    #[arg(long, value_name = "NAME", default_value = "llm-balancer")]
    pub namespace: String,
    /// Envoy Gateway: namespace of Envoy's pods, which its own is unless it runs in gateway namespace mode
    #[arg(long, value_name = "NAME", default_value = "envoy-gateway-system")]
    pub pods_namespace: String,
    /// Host that the gateway answers to, may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub hostname: Vec<String>,
    /// Secret with the certificate; HTTPS on port 443 instead of HTTP on 80
    #[arg(long, value_name = "NAME")]
    pub tls_secret: Option<String>,
    /// The filter's image with its digest, as `make image-wasm` packs it [default: the filter goes into a ConfigMap]
    #[arg(long, value_name = "oci://IMAGE@sha256:DIGEST")]
    pub filter_image: Option<String>,
    /// What the gateway lets us add
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

/// How the filter gets into somebody else's Envoy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Behind an internal listener, once per attempt: everything works
    #[default]
    TwoHop,
    /// On the gateway's own listener, once per request: a retry stays with the deployment
    SingleHop,
}

/// A ConfigMap holds one MiB in all; this much is left for its names.
const CONFIG_MAP: usize = 1024 * 1024 - 4096;

/// The mesh as the command line describes it.
pub fn mesh(args: &Render, config: &Config) -> Result<Mesh, Failure> {
    let MeshArgs { namespace, pods_namespace, hostname, tls_secret, filter_image, profile } = &args.mesh;
    if config.server.master_key.is_none() && !args.listen.insecure_no_auth {
        return Err(Failure::Usage(
            "a gateway lets other machines in, and the file sets no general_settings.master_key: set one, or add --insecure-no-auth".to_owned(),
        ));
    }
    let code = match filter_image {
        Some(image) => image_code(image)?,
        None => config_map_code(filter::bytes().map_err(Failure::Machine)?)?,
    };
    let is_set = |name: &String| std::env::var_os(name).is_some();
    Ok(Mesh {
        namespace: namespace.clone(),
        pods_namespace: match args.target {
            Target::EnvoyGateway => pods_namespace.clone(),
            Target::Envoy | Target::Istio => namespace.clone(),
        },
        hostnames: hostname.clone(),
        tls_secret: tls_secret.clone(),
        code,
        single_hop: *profile == Profile::SingleHop,
        variables: config.env_names.iter().map(|name| (name.clone(), is_set(name))).collect(),
        redis_socket: config.redis.as_ref().map(|_| args.redis_socket.clone()),
    })
}

fn image_code(image: &str) -> Result<Code, Failure> {
    let reference = image.strip_prefix("oci://").unwrap_or(image);
    let digest = reference.rsplit_once("@sha256:").map(|(_, digest)| digest);
    let is_digest = |digest: &&str| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digest.filter(is_digest) {
        Some(sha256) => Ok(Code::Image { reference: reference.to_owned(), sha256: sha256.to_owned() }),
        None => Err(Failure::Usage(format!(
            "--filter-image {image}: name the image by its digest, as `make image-wasm` prints it: oci://registry.example/llm-balancer-filter@sha256:.."
        ))),
    }
}

fn config_map_code(bytes: &'static [u8]) -> Result<Code, Failure> {
    if bytes.len() > CONFIG_MAP {
        return Err(Failure::Machine(format!(
            "the filter has {} bytes, and a ConfigMap holds {CONFIG_MAP}: push the image that `make image-wasm` packs, and name it with --filter-image",
            bytes.len()
        )));
    }
    Ok(Code::ConfigMap(bytes))
}

/// What single hop cannot do, and what has to be in the cluster beside the rendered objects.
pub fn remarks(config: &Config, mesh: &Mesh) -> Vec<String> {
    let mut remarks = Vec::new();
    if mesh.single_hop {
        remarks.push("single-hop: a retry stays with the deployment that was chosen, and failures lead to no fallback; docs/istio.md and docs/envoy-gateway.md say what else".to_owned());
    }
    if !mesh.variables.is_empty() {
        let namespace = &mesh.pods_namespace;
        let names: Vec<_> = mesh.variables.iter().filter(|(_, is_set)| *is_set).collect();
        let literals: String =
            names.iter().map(|(name, _)| format!(" --from-literal={name}=\"${name}\"")).collect();
        remarks.push(format!(
            "its variables come from a Secret: kubectl create secret generic llm-balancer -n {namespace}{literals}"
        ));
    }
    let proxies = surroundings::proxies(config).into_iter();
    remarks.extend(proxies.map(|line| {
        format!("{line} from here, and not from the gateway, which reaches them directly: give its pods a way out, such as an egress gateway")
    }));
    let files = config.deployments.iter().map(|deployment| &deployment.endpoint.tls);
    for tls in files.chain(config.redis.as_ref().map(|redis| &redis.tls)) {
        if let Tls::CaFile(file) = tls {
            remarks.push(format!("the gateway's pods must have the CA file {file}: mount it there"));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_digest_could_be_another_one_tomorrow() {
        for image in ["oci://registry.example/filter:latest", "oci://registry.example/filter@sha256:abc"] {
            assert!(matches!(image_code(image), Err(Failure::Usage(_))), "{image}");
        }
        let image = format!("oci://registry.example/filter@sha256:{}", "a".repeat(64));
        let Ok(Code::Image { reference, sha256 }) = image_code(&image) else { panic!("refused") };
        assert_eq!((reference, sha256), (image.replace("oci://", ""), "a".repeat(64)));
    }

    #[test]
    fn a_proxy_of_this_machine_is_not_the_gateways_and_the_operator_is_told() {
        let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: k}}\n";
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| "http://ada:secret@p:3128".to_owned());
        let config = llm_balancer_config::read("config.yaml", text, &lookup).config.unwrap();
        let mesh = Mesh {
            namespace: String::new(),
            pods_namespace: String::new(),
            hostnames: Vec::new(),
            tls_secret: None,
            code: Code::ConfigMap(b""),
            single_hop: false,
            variables: Vec::new(),
            redis_socket: None,
        };
        let remarks = remarks(&config, &mesh);
        let about: Vec<_> = remarks.iter().filter(|remark| remark.contains("HTTPS_PROXY")).collect();
        assert!(matches!(about.as_slice(), [remark] if !remark.contains("secret")), "{remarks:?}");
    }

    #[test]
    fn a_filter_too_large_for_a_config_map_is_not_put_into_one() {
        let large: &'static [u8] = vec![0; CONFIG_MAP + 1].leak();
        assert!(matches!(config_map_code(large), Err(Failure::Machine(_))));
    }
}
