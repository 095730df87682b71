//! Providers that only a forward proxy reaches, as `HTTPS_PROXY` and the like say.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use llm_balancer_integration::certificates::Authority;
use llm_balancer_integration::{
    Answer, Balancer, Client, DONE, ForwardProxy, Launch, Provider, eventually, free_port,
};
use serde_json::json;
use tempfile::TempDir;

/// `ada:s@cret`, as a URL and as a header hold it.
const LOGIN: &str = "ada:s%40cret";
const AUTHORIZATION: &str = "Basic YWRhOnNAY3JldA==";

/// A provider inside of TLS whose name only the proxy can resolve.
struct Behind {
    provider: Provider,
    proxy: ForwardProxy,
    ca: String,
    _dir: TempDir,
}

impl Behind {
    async fn new(proxy: ForwardProxy) -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::new();
        let ca = dir.path().join("ca.pem");
        fs::write(&ca, authority.pem()).unwrap();
        let provider = Provider::start_tls(&authority.identity(&["provider.invalid"])).await;
        proxy.knows("provider.invalid:443", provider.port());
        Self { provider, proxy, ca: ca.display().to_string(), _dir: dir }
    }

    /// One deployment, `paris`, and further items and sections.
    fn launch(&self, more: &str) -> Launch {
        let config = format!(
            "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'https://provider.invalid/paris/v1', api_key: sk-provider, ssl_verify: {}, weight: 1000000}}, model_info: {{id: paris}}}}\n{more}",
            self.ca
        );
        Launch::new(&config)
    }
}

#[tokio::test]
async fn an_https_provider_whose_name_only_the_proxy_knows_is_reached_through_it() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let balancer =
        world.launch("").env("HTTPS_PROXY", format!("http://127.0.0.1:{}", world.proxy.port())).start().await;
    let client = Client::new(balancer.port);
    for _ in 0..5 {
        assert_eq!(client.chat("gpt").await.served_by(), "paris");
    }
    assert_eq!(world.proxy.asked(), ["CONNECT provider.invalid:443"], "one tunnel serves all of them");
    let request = world.provider.received().pop().unwrap();
    assert_eq!(request.sni.as_deref(), Some("provider.invalid"));
    assert_eq!(request.header("host"), Some("provider.invalid"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-provider"));
    balancer.says("1 of 1 deployments are reached through http://127.0.0.1:").await;
}

#[tokio::test]
async fn a_stream_comes_through_the_tunnel_as_it_is_sent() {
    let world = Behind::new(ForwardProxy::start().await).await;
    world.provider.always("paris", Answer::ok().events(5).every(Duration::from_millis(150)));
    let balancer =
        world.launch("").env("https_proxy", format!("127.0.0.1:{}", world.proxy.port())).start().await;
    let mut events = Client::new(balancer.port).stream_chat("gpt").await;
    let mut times = Vec::new();
    while let Some((at, _)) = events.next().await {
        times.push(at);
    }
    let took = times.last().unwrap().duration_since(times[0]).as_millis();
    assert!(times.len() > 3 && took > 250, "{} events in {took} ms", times.len());
}

#[tokio::test]
async fn the_proxy_is_told_user_and_password_which_stand_nowhere_else() {
    let world = Behind::new(ForwardProxy::guarded(AUTHORIZATION).await).await;
    let proxy = format!("http://{LOGIN}@127.0.0.1:{}", world.proxy.port());
    let balancer = world.launch("").env("HTTPS_PROXY", proxy).start().await;
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
    let secrets = ["s@cret", "s%40cret", "YWRhOnNAY3JldA"];
    let is_clean = |text: &str| secrets.iter().all(|secret| !text.contains(secret));
    for entry in fs::read_dir(balancer.runtime_folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        assert!(is_clean(&text), "{}", path.display());
    }
    assert!(is_clean(&balancer.log()));
    let request = world.provider.received().pop().unwrap();
    assert_eq!(request.header("proxy-authorization"), None, "that is between us and the proxy");
}

#[tokio::test]
async fn a_wrong_password_is_a_connection_error_and_the_log_says_what_the_proxy_said() {
    let world = Behind::new(ForwardProxy::guarded(AUTHORIZATION).await).await;
    let proxy = format!("http://ada:wrong@127.0.0.1:{}", world.proxy.port());
    let balancer =
        world.launch("router_settings: {num_retries: 0}\n").env("HTTPS_PROXY", proxy).start().await;
    let reply = Client::new(balancer.port).chat("gpt").await;
    let error = reply.error(500);
    assert!(error["message"].as_str().unwrap().to_lowercase().contains("connect"), "{error}");
    assert_eq!(world.provider.count(), 0);
    balancer.says("to provider.invalid:443: UF").await;
    let log = balancer.log();
    assert!(
        log.contains("no tunnel through http://127.0.0.1:") && log.contains("tunnel_response:407"),
        "{log}"
    );
    assert!(!log.contains("ada:wrong"), "{log}");
}

#[tokio::test]
async fn where_the_proxy_is_down_a_sibling_serves_that_needs_none() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let near = Provider::start().await;
    let item = format!(
        "- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://localhost:{}/near/v1', api_key: k, weight: 1}}, model_info: {{id: near}}}}\nrouter_settings: {{cooldown_time: 1}}\n",
        near.port()
    );
    let proxy = format!("http://127.0.0.1:{}", world.proxy.port());
    let balancer = world.launch(&item).env("ALL_PROXY", proxy).env("NO_PROXY", "localhost").start().await;
    let client = Client::new(balancer.port);
    world.proxy.refuses("503 Service Unavailable");
    for _ in 0..5 {
        assert_eq!(client.chat("gpt").await.served_by(), "near");
    }
    world.proxy.relents();
    let back =
        eventually(async || client.chat("gpt").await.header("x-litellm-model-id") == Some("paris")).await;
    assert!(back, "{}", balancer.log());
    assert!(world.proxy.asked().iter().all(|asked| asked == "CONNECT provider.invalid:443"));
}

#[tokio::test]
async fn no_proxy_leads_past_the_proxy() {
    let provider = Provider::start().await;
    let proxy = ForwardProxy::start().await;
    let config = format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{}/paris/v1', api_key: k}}}}\n",
        provider.port()
    );
    let balancer = Launch::new(&config)
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
        .env("NO_PROXY", "example.com,127.0.0.0/8")
        .start()
        .await;
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
    assert!(proxy.asked().is_empty());
}

#[tokio::test]
async fn an_http_provider_is_asked_for_by_its_whole_url() {
    let provider = Provider::start().await;
    let proxy = ForwardProxy::guarded(AUTHORIZATION).await;
    proxy.knows("gpu.invalid:8000", provider.port());
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://gpu.invalid:8000/paris/v1', api_key: k}}\n";
    let balancer = Launch::new(config)
        .env("HTTP_PROXY", format!("http://{LOGIN}@127.0.0.1:{}", proxy.port()))
        .start()
        .await;
    let client = Client::new(balancer.port).with_header("x-forwarded-proto", "https");
    for _ in 0..3 {
        assert_eq!(client.chat("gpt").await.served_by(), "paris");
    }
    let asked = "POST http://gpu.invalid:8000/paris/v1/chat/completions";
    assert_eq!(proxy.asked(), [asked, asked, asked]);
    let request = provider.received().pop().unwrap();
    assert_eq!(request.header("host"), Some("gpu.invalid:8000"));
    assert_eq!(request.header("proxy-authorization"), None);
}

#[tokio::test]
async fn health_asks_through_the_proxy_too() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let balancer =
        world.launch("").env("HTTPS_PROXY", format!("http://127.0.0.1:{}", world.proxy.port())).start().await;
    let reply = Client::new(balancer.port).get("/health").await;
    assert_eq!(reply.json()["healthy_count"], json!(1), "{}", reply.text());
    assert_eq!(world.proxy.asked().first().map(String::as_str), Some("CONNECT provider.invalid:443"));
}

#[tokio::test]
async fn a_proxy_may_be_inside_of_tls_itself() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start_tls(&authority.identity(&["127.0.0.1"])).await;
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("proxy.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let world = Behind::new(proxy).await;
    let balancer = world
        .launch("")
        .env("HTTPS_PROXY", format!("https://127.0.0.1:{}", world.proxy.port()))
        .env("SSL_CERT_FILE", &ca)
        .start()
        .await;
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn a_reload_may_name_another_proxy_or_password_and_streams_stay_with_theirs() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let other = ForwardProxy::start().await;
    other.knows("provider.invalid:443", world.provider.port());
    world.provider.always("paris", Answer::ok().events(16).every(Duration::from_millis(400)));
    let section = |proxy: &str, port: u16| {
        format!("environment_variables: {{HTTPS_PROXY: 'http://{proxy}127.0.0.1:{port}'}}\n")
    };
    let sections = [
        section("", world.proxy.port()),
        section("", other.port()),
        section("ada:one@", other.port()),
        section("ada:two@", other.port()),
    ];
    let authorizations = [None, None, Some("Basic YWRhOm9uZQ=="), Some("Basic YWRhOnR3bw==")];
    let balancer = world.launch(&sections[0]).start().await;
    let config = fs::read_to_string(balancer.file()).unwrap();
    let client = Client::new(balancer.port);
    let mut streams = Vec::new();
    for (reloads, (section, authorization)) in sections.iter().zip(authorizations).enumerate() {
        if let Some(authorization) = authorization {
            other.expects(authorization);
        }
        if reloads > 0 {
            balancer.replace_file(&config.replace(&sections[0], section));
            balancer.says(&format!("(configuration {})", reloads + 1)).await;
        }
        let mut events = client.stream_chat("gpt").await;
        assert!(events.next().await.is_some(), "{section}");
        streams.push(events);
    }
    assert_eq!(other.asked(), ["CONNECT provider.invalid:443"; 3], "a tunnel for each login");
    for (mut events, section) in streams.into_iter().zip(&sections) {
        assert!(events.rest().await.ends_with(DONE), "the stream ends as it would have: {section}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_reload_moves_to_another_proxy() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let other = ForwardProxy::start().await;
    other.knows("provider.invalid:443", world.provider.port());
    let section = |port: u16| {
        format!(
            "environment_variables: {{HTTPS_PROXY: 'http://127.0.0.1:{port}'}}\nrouter_settings: {{num_retries: 0}}\n"
        )
    };
    let ports = [world.proxy.port(), other.port()];
    let section_at_first = section(ports[0]);
    let balancer = world.launch(&section_at_first).start().await;
    let config = fs::read_to_string(balancer.file()).unwrap();
    let client = Client::new(balancer.port);
    let reloads = async {
        for reload in 1..=4 {
            let section = section(ports[reload % 2]);
            balancer.replace_file(&config.replace(&section_at_first, &section));
            balancer.says(&format!("(configuration {})", reload + 1)).await;
        }
    };
    let chats = async {
        loop {
            assert_eq!(client.chat("gpt").await.served_by(), "paris");
        }
    };
    tokio::select! { () = reloads => {} () = chats => {} }
}

#[tokio::test]
async fn a_socks_proxy_is_refused_at_the_start() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}\n";
    let refusal = Launch::new(config).env("ALL_PROXY", "socks5://ada:secret@127.0.0.1:1080").refused().await;
    assert!(refusal.output.contains("ALL_PROXY") && refusal.output.contains("SOCKS"), "{}", refusal.output);
    assert!(!refusal.output.contains("secret"), "{}", refusal.output);
}

/// Takes connections and says nothing, as a proxy does that hangs.
fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
async fn a_proxy_that_is_down_or_hangs_is_a_connection_error_that_the_log_explains() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let hanging = silent();
    let cases = [
        (free_port(), "Connection_refused"),
        (hanging.local_addr().unwrap().port(), "to provider.invalid:443: UF"),
    ];
    for (port, words) in cases {
        let launch = world.launch("router_settings: {num_retries: 0}\n");
        let balancer = launch.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}")).start().await;
        let reply = Client::new(balancer.port).chat("gpt").await;
        let error = reply.error(500);
        assert!(error["message"].as_str().unwrap().to_lowercase().contains("connect"), "{error}");
        balancer.says(words).await;
        let open = format!("cluster.forward-proxy-127-0-0-1-{port}.upstream_cx_active");
        assert_eq!(
            balancer.stats().await.get(&open),
            Some(&0),
            "connections to the proxy that nothing waits for"
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_no_answer_of_an_http_provider() {
    let provider = Provider::start().await;
    let proxy = ForwardProxy::guarded(AUTHORIZATION).await;
    proxy.knows("gpu.invalid:80", provider.port());
    let item = |host: &str, id: &str, weight: u32| {
        format!(
            "- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://{host}/{id}/v1', api_key: k, weight: {weight}}}, model_info: {{id: {id}}}}}\n"
        )
    };
    let near = format!("localhost:{}", provider.port());
    let config = format!("model_list:\n{}{}", item("gpu.invalid", "far", 1_000_000), item(&near, "near", 1));
    let balancer = Launch::new(&config)
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", proxy.port()))
        .env("NO_PROXY", "localhost")
        .start()
        .await;
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "near");
}

#[tokio::test]
async fn cas_of_requests_verify_providers_where_nothing_else_names_any() {
    let world = Behind::new(ForwardProxy::start().await).await;
    let proxy = format!("http://127.0.0.1:{}", world.proxy.port());
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}\n";
    let balancer = Launch::new(config)
        .env("HTTPS_PROXY", proxy)
        .env("OPENAI_BASE_URL", "https://provider.invalid/paris/v1")
        .env("REQUESTS_CA_BUNDLE", &world.ca)
        .start()
        .await;
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn check_names_what_the_environment_adds_and_shows_no_secret() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m}}\n";
    let variables = [
        ("HTTPS_PROXY", "http://ada:se-cret@proxy.example:3128"),
        ("OPENAI_API_KEY", "sk-se-cret"),
        ("DATABASE_URL", "postgres://ada:se-cret@db"),
    ];
    let (usable, said) = Balancer::check_with(config, &variables);
    assert!(usable && !said.contains("se-cret"), "{said}");
    for words in [
        "note: from the environment: OPENAI_API_KEY",
        "note: 1 of 1 deployments are reached through http://proxy.example:3128 (HTTPS_PROXY)",
        "warning: DATABASE_URL: has no effect: no database",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}
