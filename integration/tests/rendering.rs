//! What `render` writes and says for a mesh.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use llm_balancer_integration::mesh::{MESHES, Rendered, documents, render};

/// What the operator's Secret holds.
fn secret() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("MASTER_KEY", "sk-master")])
}

#[test]
fn a_gateway_without_a_key_is_not_rendered_by_accident() {
    let config = "model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}}]\n";
    for mesh in MESHES {
        let refused = render(config, mesh, &[], &secret());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && said.contains("master_key"), "{mesh}: {said}");
        assert!(render(config, mesh, &["--insecure-no-auth"], &secret()).status.success(), "{mesh}");
    }
}

#[test]
fn a_folder_gets_a_file_for_each_object_in_the_order_of_their_names_and_for_one_pair_of_eyes() {
    let config = "general_settings: {master_key: os.environ/MASTER_KEY}\nmodel_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}}]\n";
    for mesh in MESHES {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = dir.path().join("rendered");
        let done = render(config, mesh, &["--out", folder.to_str().unwrap()], &secret());
        assert!(done.status.success() && done.stdout.is_empty(), "{mesh}");
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let written: Vec<_> = files
            .iter()
            .flat_map(|file| {
                assert_eq!(
                    file.metadata().unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{}",
                    file.display()
                );
                documents(&std::fs::read_to_string(file).unwrap())
            })
            .collect();
        assert_eq!(written, Rendered::new(config, mesh, &[], &secret()).objects, "{mesh}");
    }
}

#[test]
fn what_a_single_hop_cannot_do_is_said() {
    let config = "general_settings: {master_key: os.environ/MASTER_KEY}\nmodel_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}}]\n";
    for mesh in MESHES {
        let said = Rendered::new(config, mesh, &["--profile", "single-hop"], &secret()).said;
        assert!(said.contains("retries stay with the selected deployment"), "{mesh}: {said}");
        let namespace = if mesh == "istio" { "llm-balancer" } else { "envoy-gateway-system" };
        let command =
            format!("kubectl create secret generic llm-balancer -n {namespace} --from-literal=MASTER_KEY");
        assert!(said.contains(&command), "{said}");
    }
    let said = Rendered::new(config, "envoy-gateway", &["--namespace", "team-a"], &secret()).said;
    assert!(said.contains("generic llm-balancer-team-a -n envoy-gateway-system"), "{said}");
}
