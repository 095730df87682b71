//! The URL of every route at every kind of provider. `UPDATE=1 cargo test -p llm-balancer-router
//! --test stories paths` writes the table anew.

use std::fmt::Write as _;
use std::{env, fs};

use crate::common::{Answer, World};
use llm_balancer_router::testing::{ANTHROPIC_ROUTES, BodyKind, MODEL_ROUTES, ModelRoute};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/paths.txt");

/// The URL of a request at a deployment, or `-` where its provider lacks the route.
fn url(params: &str, route: ModelRoute) -> String {
    let yaml = format!("model_list:\n- model_name: g\n  litellm_params: {params}\n");
    let form = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ng\r\n--b--\r\n";
    let (kind, body) = match route.body {
        BodyKind::Json => ("application/json", r#"{"model":"g"}"#),
        BodyKind::Multipart => ("multipart/form-data; boundary=b", form),
    };
    let path = format!("/v1{}", route.suffix);
    let response = World::of(&yaml).post(&path, &[("content-type", kind)], body.as_bytes(), |_| Answer::Ok);
    let Some(sent) = response.sent else {
        assert!([400, 404].contains(&response.status), "{params} {path}: {}", response.body);
        return "-".to_owned();
    };
    format!("{}://{}{}", sent.header(":scheme"), sent.header(":authority"), sent.header(":path"))
}

#[test]
fn every_route_has_the_url_of_the_table() {
    let table = fs::read_to_string(TABLE).unwrap();
    let is_deployment = |line: &&str| line.starts_with('{');
    let mut expected: String =
        table.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    for params in table.lines().filter(is_deployment) {
        write!(expected, "\n{params}\n").unwrap();
        for route in MODEL_ROUTES.into_iter().chain(ANTHROPIC_ROUTES) {
            writeln!(expected, "  {:24} {}", route.suffix, url(params, route)).unwrap();
        }
    }
    if env::var_os("UPDATE").is_some() {
        fs::write(TABLE, &expected).unwrap();
        return;
    }
    for (line, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(line, expected, "UPDATE=1 rewrites the table");
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}
