//! Providers behind TLS: verified by their authority and by name, given the right server name,
//! refused otherwise.

use std::fs;
use std::path::PathBuf;

use llm_balancer_integration::certificates::Authority;
use llm_balancer_integration::{Client, Launch, Provider, Reply};
use tempfile::TempDir;

/// Where a deployment is said to be, and how it is verified.
struct Case<'a> {
    /// The names on its certificate.
    names: &'a [&'a str],
    /// The host of its api_base.
    host: &'a str,
    /// Further litellm_params; `CA` becomes the authority's file.
    params: &'a str,
    /// Whether SSL_CERT_FILE names the authority.
    known_to_the_system: bool,
}

/// The reply to one chat, and the server name that the provider got.
async fn chat(case: Case<'_>) -> (Reply, Option<String>) {
    let dir = TempDir::new().unwrap();
    let authority = Authority::new();
    let ca: PathBuf = dir.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let provider = Provider::start_tls(&authority.identity(case.names)).await;
    let config = format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'https://{}:{}/paris/v1', api_key: k{}}}}}\nrouter_settings: {{num_retries: 0, timeout: 5}}\n",
        case.host,
        provider.port(),
        case.params.replace("CA", &ca.display().to_string()),
    );
    let mut launch = Launch::new(&config);
    if case.known_to_the_system {
        launch = launch.env("SSL_CERT_FILE", &ca);
    }
    let balancer = launch.start().await;
    let reply = Client::new(balancer.port).chat("gpt").await;
    let sni = provider.received().pop().and_then(|request| request.sni);
    if reply.status != 200 {
        assert_eq!(provider.count(), 0, "a provider that is not trusted got the request");
    }
    (reply, sni)
}

#[tokio::test]
async fn an_authority_named_by_ssl_verify_is_trusted_and_the_server_name_is_told() {
    let case = Case {
        names: &["localhost"],
        host: "localhost",
        params: ", ssl_verify: CA",
        known_to_the_system: false,
    };
    let (reply, sni) = chat(case).await;
    assert_eq!(reply.served_by(), "paris");
    assert_eq!(sni.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn an_authority_known_to_the_system_is_trusted() {
    let case = Case { names: &["localhost"], host: "localhost", params: "", known_to_the_system: true };
    let (reply, sni) = chat(case).await;
    assert_eq!((reply.served_by().as_str(), sni.as_deref()), ("paris", Some("localhost")));
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let case = Case { names: &["localhost"], host: "localhost", params: "", known_to_the_system: false };
    let (reply, _) = chat(case).await;
    reply.error(500);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let case = Case {
        names: &["elsewhere.example"],
        host: "localhost",
        params: ", ssl_verify: CA",
        known_to_the_system: false,
    };
    let (reply, _) = chat(case).await;
    reply.error(500);
    let case =
        Case { names: &["elsewhere.example"], host: "localhost", params: "", known_to_the_system: true };
    chat(case).await.0.error(500);
}

#[tokio::test]
async fn an_address_is_verified_as_an_address() {
    let case = Case {
        names: &["127.0.0.1"],
        host: "127.0.0.1",
        params: ", ssl_verify: CA",
        known_to_the_system: false,
    };
    let (reply, sni) = chat(case).await;
    assert_eq!((reply.served_by().as_str(), sni), ("paris", None), "an address is no server name");
    let case = Case {
        names: &["127.0.0.9"],
        host: "127.0.0.1",
        params: ", ssl_verify: CA",
        known_to_the_system: false,
    };
    chat(case).await.0.error(500);
}

#[tokio::test]
async fn verification_can_be_turned_off_for_a_deployment() {
    let case = Case {
        names: &["elsewhere.example"],
        host: "localhost",
        params: ", ssl_verify: false",
        known_to_the_system: false,
    };
    let (reply, sni) = chat(case).await;
    assert_eq!((reply.served_by().as_str(), sni.as_deref()), ("paris", Some("localhost")));
}

#[tokio::test]
async fn a_provider_that_is_not_trusted_hands_over_to_one_that_is() {
    let dir = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, ours.pem()).unwrap();
    let good = Provider::start_tls(&ours.identity(&["localhost"])).await;
    let bad = Provider::start_tls(&theirs.identity(&["localhost"])).await;
    let item = |name: &str, port: u16, weight: u32| {
        format!(
            "- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'https://localhost:{port}/{name}/v1', api_key: k, weight: {weight}}}}}\n"
        )
    };
    let config =
        format!("model_list:\n{}{}", item("bad", bad.port(), 1_000_000), item("good", good.port(), 1));
    let balancer = Launch::new(&config).env("SSL_CERT_FILE", &ca).start().await;
    let client = Client::new(balancer.port);
    for _ in 0..5 {
        let reply = client.chat("gpt").await;
        assert_eq!(reply.served_by(), "good");
    }
    assert_eq!(bad.count(), 0);
}
