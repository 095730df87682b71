//! What is rendered for Istio and for Envoy Gateway, running in the real Envoy as their control
//! planes would put it there.

use std::collections::BTreeMap;
use std::time::Duration;

use llm_balancer_integration::fleet::ACQUAINTED;
use llm_balancer_integration::mesh::{MESHES, Rendered, envoy_gateway, istio};
use llm_balancer_integration::{
    Answer, Client, DONE, Envoy, Provider, Redis, ask, eventually, item, minute, raw,
};
use serde_json::{Value, json};

const ONE_HOP: &[&str] = &["--hops", "1"];

/// Each mesh with two hops, and with one for first attempts.
const WAYS: [(&str, &[&str]); 4] =
    [("istio", &[]), ("istio", ONE_HOP), ("envoy-gateway", &[]), ("envoy-gateway", ONE_HOP)];

/// What the operator's Secret holds.
fn secret() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("MASTER_KEY", "sk-master"), ("PARIS_KEY", "sk-paris")])
}

/// A provider, a gateway of this mesh in front of it, and a client that has the key.
struct World {
    client: Client,
    gateway: Envoy,
    provider: Provider,
    rendered: Rendered,
}

impl World {
    async fn new(mesh: &str, args: &[&str], config: &str) -> Self {
        let provider = Provider::start().await;
        let rendered = rendered(mesh, args, config, &provider);
        let gateway = match mesh {
            "istio" => istio::gateway(&rendered, &secret()).await,
            _ => envoy_gateway::gateway(&rendered, &secret()).await,
        };
        let client = Client::new(gateway.port).with_header("authorization", "Bearer sk-master");
        Self { client, gateway, provider, rendered }
    }

    async fn group(mesh: &str, args: &[&str], names: &[&str], params: &str, router: &str) -> Self {
        Self::new(mesh, args, &group(names, params, router)).await
    }
}

fn group(names: &[&str], params: &str, router: &str) -> String {
    let items: String = names.iter().map(|name| item("gpt", name, params)).collect();
    format!("model_list:\n{items}router_settings: {{{router}}}\n")
}

fn rendered(mesh: &str, args: &[&str], config: &str, provider: &Provider) -> Rendered {
    let config = config.replace("PROVIDER", &provider.origin());
    let config = format!("{config}general_settings: {{master_key: os.environ/MASTER_KEY}}\n");
    let rendered = Rendered::new(&config, mesh, args, &secret());
    assert!(!format!("{:?}", rendered.objects).contains("sk-master"), "a key in a rendered object");
    rendered
}

#[tokio::test]
async fn a_chat_is_answered_with_the_keys_from_the_secret() {
    for (mesh, args) in WAYS {
        let world = World::new(
            mesh,
            args,
            "model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: os.environ/PARIS_KEY}}]\n",
        )
        .await;
        let reply = world.client.chat("gpt").await;
        assert_eq!(reply.status, 200, "{mesh} {args:?}: {}", reply.text());
        let request = world.provider.only_request();
        assert_eq!(request.header("authorization"), Some("Bearer sk-paris"), "{mesh} {args:?}");
        assert_eq!(request.target, "/paris/v1/chat/completions", "{mesh} {args:?}");
        assert!(reply.header("x-llm-retry").is_none());
        let stranger = Client::new(world.gateway.port).chat("gpt").await;
        assert_eq!(stranger.status, 401, "{mesh} {args:?}: {}", stranger.text());
    }
}

#[tokio::test]
async fn a_gateway_of_named_hosts_serves_those_and_no_other() {
    let named: &[&str] = &["--hostname", "ai.example.com", "--hostname", "llm.example.com"];
    let image = format!("oci://registry.example/filter@sha256:{}", "5".repeat(64));
    let discovered: &[&str] = &["--hops", "1", "--filter-image", &image];
    let others = [("istio", SINGLE_HOP), ("envoy-gateway", SINGLE_HOP), ("istio", discovered)];
    for (mesh, way) in WAYS.into_iter().chain(others) {
        let world = World::group(mesh, &[named, way].concat(), &["paris"], "", "num_retries: 1").await;
        // With one hop the retry takes another route.
        world.provider.script("paris", [Answer::status(500), Answer::ok()]);
        for host in ["llm.example.com", "ai.example.com"] {
            let reply = world.client.with_header("host", host).chat("gpt").await;
            assert_eq!(reply.status, 200, "{mesh} {way:?} {host}: {}", reply.text());
        }
        assert_eq!(world.provider.calls().len(), 3, "{mesh} {way:?}");
        let elsewhere = world.client.with_header("host", "elsewhere.example.com").chat("gpt").await;
        assert_eq!(elsewhere.status, 404, "{mesh} {way:?}: {}", elsewhere.text());
        assert_eq!(world.provider.calls().len(), 3, "{mesh} {way:?}");
    }
}

#[tokio::test]
async fn what_another_host_of_the_gateway_answers_keeps_its_headers() {
    for args in [&[], ONE_HOP, SINGLE_HOP] {
        let world = World::group("istio", args, &["paris"], "", "").await;
        let reply = world.client.with_header("host", istio::NEIGHBOUR).get("/").await;
        for (name, value) in [("set-cookie", "a=b"), ("location", "/new")] {
            assert_eq!(reply.header(name), Some(value), "{args:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn metrics_have_their_labels_in_a_mesh_too() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris"], "", "").await;
        assert_eq!(world.client.chat("gpt").await.status, 200, "{mesh} {args:?}");
        let version = concat!("llm_balancer_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1");
        let of_gpt =
            |line: &str| line.starts_with("llm_balancer_requests_total{") && line.contains("group=\"gpt\"");
        let have = |metrics: &str| metrics.contains(version) && metrics.lines().any(of_gpt);
        world.gateway.assert_metrics(&format!("{mesh} {args:?}"), have).await;
    }
}

#[tokio::test]
async fn a_failed_attempt_goes_to_another_deployment() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris", "virginia", "tokyo"], "", "num_retries: 2").await;
        for name in ["paris", "virginia"] {
            world.provider.always(name, Answer::status(500));
        }
        for _ in 0..5 {
            let reply = world.client.chat("gpt").await;
            assert_eq!(reply.status, 200, "{mesh} {args:?}: {}", reply.text());
            assert_eq!(reply.served_by(), "tokyo", "{mesh} {args:?}");
        }
    }
}

/// How often a gateway's first attempts and later ones have passed the internal listener.
async fn through_the_listener(world: &World) -> String {
    let admin = Client::new(world.gateway.admin_port);
    admin.get("/stats?filter=^cluster.attempts.upstream_rq_total$").await.text().trim().to_owned()
}

#[tokio::test]
async fn with_one_hop_only_later_attempts_pass_the_internal_listener() {
    for mesh in MESHES {
        let world = World::group(mesh, ONE_HOP, &["paris", "virginia"], "", "num_retries: 1").await;
        assert_eq!(world.client.chat("gpt").await.status, 200, "{mesh}");
        assert_eq!(through_the_listener(&world).await, "cluster.attempts.upstream_rq_total: 0", "{mesh}");
        world.provider.always("paris", Answer::status(500));
        let before = world.provider.received_by("paris").len();
        while world.provider.received_by("paris").len() == before {
            assert_eq!(world.client.chat("gpt").await.status, 200, "{mesh}");
        }
        assert_eq!(through_the_listener(&world).await, "cluster.attempts.upstream_rq_total: 1", "{mesh}");
        let lines = || world.gateway.access_log().lines().filter(|line| line.contains("\"gpt\"")).count();
        let answered = world.provider.calls().len() - 1;
        assert!(eventually(async || lines() == answered).await, "{mesh}: {}", world.gateway.access_log());
    }
}

#[tokio::test]
async fn a_limit_of_the_minute_is_held() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris"], ", rpm: 2", "num_retries: 0").await;
        minute::with_room_for(Duration::from_secs(10)).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(world.client.chat("gpt").await.status);
        }
        assert_eq!(statuses, [200, 200, 429, 429], "{mesh} {args:?}");
    }
}

#[tokio::test]
async fn a_stream_arrives_as_it_is_sent() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris"], "", "num_retries: 0").await;
        world.provider.always("paris", Answer::ok().events(5).every(Duration::from_millis(100)));
        let mut events = world.client.stream_chat("gpt").await;
        assert_eq!(events.status, 200, "{mesh} {args:?}");
        let (mut arrived, mut last) = (Vec::new(), Vec::new());
        while let Some((at, bytes)) = events.next().await {
            arrived.push(at);
            last = bytes.to_vec();
        }
        assert!(String::from_utf8_lossy(&last).ends_with(DONE), "{mesh} {args:?}");
        let spread = arrived.last().unwrap().duration_since(arrived[0]);
        assert!(spread > Duration::from_millis(250), "{mesh} {args:?}: all within {spread:?}");
    }
}

#[tokio::test]
async fn in_istio_a_changed_file_is_used_at_once_and_a_stream_goes_on() {
    for args in [&[], ONE_HOP, SINGLE_HOP] {
        let world = World::group("istio", args, &["paris"], "", "num_retries: 0").await;
        assert_eq!(world.client.chat("alias").await.status, 400, "{args:?}: a name that is not there yet");
        world.provider.script("paris", [Answer::ok().events(30).every(Duration::from_millis(100))]);
        let mut stream = world.client.stream_chat("gpt").await;
        assert_eq!(stream.status, 200, "{args:?}");
        let changed = group(&["paris"], "", "num_retries: 0, model_group_alias: {alias: gpt}");
        let changed = rendered("istio", args, &changed, &world.provider);
        istio::apply_to(&world.gateway, &world.rendered, &changed);
        assert!(eventually(async || world.client.chat("alias").await.status == 200).await, "{args:?}");
        assert!(stream.rest().await.trim_end().ends_with("[DONE]"), "{args:?}");
    }
}

#[tokio::test]
async fn in_istio_a_file_that_the_filter_refuses_is_counted_and_the_one_before_stays() {
    for args in [&[], ONE_HOP] {
        let world = World::group("istio", args, &["paris"], "", "num_retries: 0").await;
        let changed = group(&["paris"], "", "num_retries: 0, routing_strategy: simple-shuffle");
        let mut changed = rendered("istio", args, &changed, &world.provider);
        // `render` refuses such a file itself.
        let objects = Value::from(changed.objects).to_string().replace("simple-shuffle", "telepathy");
        changed.objects = serde_json::from_str(&objects).unwrap();
        istio::apply_to(&world.gateway, &world.rendered, &changed);
        // As the alert `LlmBalancerReloadRejected` reads it.
        let rejected = "envoy_extension_config_discovery_http_filter_llm_balancer_update_rejected{} 1";
        world.gateway.assert_metrics(&format!("{args:?}"), |metrics| metrics.contains(rejected)).await;
        assert_eq!(world.client.chat("gpt").await.status, 200, "{args:?}");
    }
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_sent_again_after_a_failure() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris", "virginia"], "", "num_retries: 1").await;
        world.provider.always("paris", Answer::status(500));
        for _ in 0..4 {
            let long = json!({"messages": [{"role": "user", "content": "long ".repeat(200_000)}]});
            let reply = world.client.chat_with("gpt", &long).await;
            assert_eq!(reply.status, 200, "{mesh} {args:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_client_has_no_say_in_what_goes_on_inside() {
    for (mesh, args) in WAYS {
        let world = World::group(mesh, args, &["paris"], "", "num_retries: 0").await;
        let client = world
            .client
            .with_header("x-llm-cluster", "attempts")
            .with_header("x-envoy-max-retries", "5")
            .with_header("x-envoy-retry-on", "5xx")
            .with_header("x-envoy-attempt-count", "9");
        world.provider.always("paris", Answer::status(500));
        let reply = client.post("/v1/chat/completions", &ask("gpt")).await;
        assert_eq!(reply.status, 500, "{mesh} {args:?}: {}", reply.text());
        assert_eq!(world.provider.calls(), ["paris"], "{mesh} {args:?}");
    }
}

/// Istio's gateways let WebSockets through, Envoy Gateway's do not.
#[tokio::test]
async fn a_websocket_is_refused_with_426_in_a_mesh_too() {
    for (mesh, args) in WAYS.into_iter().chain(MESHES.map(|mesh| (mesh, SINGLE_HOP))) {
        let world = World::group(mesh, args, &["paris"], "", "").await;
        for method in ["GET", "POST"] {
            let request = format!(
                "{method} /v1/responses HTTP/1.1\r\nhost: balancer\r\nauthorization: Bearer sk-master\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
            );
            let answer = raw::request(world.gateway.port, request.as_bytes()).await;
            assert_eq!(raw::status(&answer), 426, "{mesh} {args:?}: {answer}");
            let error = &raw::json(&answer)["error"];
            assert!(error["message"].as_str().unwrap().contains("WebSockets are not served"), "{error}");
        }
        assert_eq!(world.client.chat("gpt").await.status, 200);
    }
}

const SINGLE_HOP: &[&str] = &["--profile", "single-hop"];

#[tokio::test]
async fn in_a_single_hop_a_retry_stays_with_the_deployment() {
    for mesh in MESHES {
        let world = World::group(mesh, SINGLE_HOP, &["paris", "virginia"], "", "num_retries: 2").await;
        for name in ["paris", "virginia"] {
            world.provider.script(name, [Answer::status(500), Answer::status(429), Answer::ok()]);
        }
        let reply = world.client.chat("gpt").await;
        assert_eq!(reply.status, 200, "{mesh}: {}", reply.text());
        let served = reply.served_by();
        assert_eq!(world.provider.calls(), [served.as_str(), &served, &served], "{mesh}");
        assert_eq!(reply.header("x-litellm-model-id"), Some(served.as_str()), "{mesh}");
    }
}

#[tokio::test]
async fn in_a_single_hop_limits_keys_cooldowns_and_streams_are_as_everywhere() {
    for mesh in MESHES {
        let world = World::group(
            mesh,
            SINGLE_HOP,
            &["paris", "virginia"],
            ", rpm: 2",
            "num_retries: 0, cooldown_time: 60",
        )
        .await;
        minute::with_room_for(Duration::from_secs(15)).await;
        let stranger = Client::new(world.gateway.port).chat("gpt").await;
        stranger.error(401);
        let mut stream = world.client.stream_chat("gpt").await;
        assert_eq!(stream.status, 200, "{mesh}");
        assert!(stream.rest().await.trim_end().ends_with("[DONE]"), "{mesh}");
        world.provider.always("paris", Answer::status(429).retry_after("40"));
        let mut statuses = Vec::new();
        for _ in 0..6 {
            // A client has no say here either.
            let client = world
                .client
                .with_header("x-envoy-max-retries", "5")
                .with_header("x-envoy-attempt-count", "9");
            statuses.push(client.chat("gpt").await.status);
        }
        assert!(statuses.iter().filter(|status| **status == 200).count() <= 3, "{mesh}: {statuses:?}");
        assert_eq!(statuses.last(), Some(&429), "{mesh}: {statuses:?}");
        assert!(world.provider.received_by("paris").len() <= 2, "{mesh}: it cools down");
        let long = json!({"messages": [{"role": "user", "content": "long ".repeat(200_000)}]});
        let reply = world.client.chat_with("gpt", &long).await;
        assert_eq!(reply.status, 429, "{mesh}: a body of a megabyte is read");
    }
}

/// A route ends a stream that is silent for longer than the filter's own limit, and no earlier.
#[test]
fn in_a_single_hop_a_slow_answer_has_the_time_of_its_own_limit() {
    let config = "general_settings: {master_key: os.environ/MASTER_KEY}\nmodel_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}}]\n";
    for mesh in MESHES {
        let idle_timeouts = |args: &[&str]| {
            let objects = Rendered::new(config, mesh, args, &secret()).objects;
            let text = serde_json::to_string(&objects).unwrap();
            let found = text
                .match_indices("\"idle_timeout\":\"")
                .map(|(at, found)| text[at + found.len()..].split('"').next().unwrap().to_owned());
            found.collect::<Vec<_>>()
        };
        let routes = ["75s", "6015s", "0s", "75s", "6015s", "0s", "75s"];
        let single = idle_timeouts(SINGLE_HOP);
        assert!(single.windows(routes.len()).any(|window| window == routes), "{mesh}: {single:?}");
    }
}

#[tokio::test]
async fn the_image_is_found_where_the_pods_have_it() {
    let image = format!("oci://registry.example/llm-balancer-filter@sha256:{}", "5".repeat(64));
    for mesh in MESHES {
        for way in [&[], ONE_HOP, SINGLE_HOP] {
            let args = [&["--filter-image", &image], way].concat();
            let world = World::group(mesh, &args, &["paris"], "", "").await;
            let reply = world.client.chat("gpt").await;
            assert_eq!(reply.status, 200, "{mesh} {way:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn the_listener_of_a_gateway_with_a_certificate_has_other_names_and_is_found_all_the_same() {
    let world = World::group("envoy-gateway", &["--tls-secret", "cert"], &["paris"], "", "").await;
    assert_eq!(world.client.chat("gpt").await.status, 200);
}

#[tokio::test]
async fn gateways_that_name_the_same_redis_share_a_limit() {
    let redis = Redis::start().await;
    let router = format!("num_retries: 0, redis_host: 127.0.0.1, redis_port: {}", redis.port());
    minute::with_room_for(Duration::from_secs(30)).await;
    let story = async |mesh| {
        let namespace = format!("llm_balancer: {{redis_namespace: {mesh}}}\n");
        let config = format!(
            "{namespace}model_list:\n{}router_settings: {{{router}}}\n",
            item("gpt", "paris", ", rpm: 8")
        );
        let (one, two) = (World::new(mesh, &[], &config).await, World::new(mesh, &[], &config).await);
        // Both have spoken to Redis, and know of each other.
        tokio::time::sleep(ACQUAINTED).await;
        let mut served = 0;
        for _ in 0..10 {
            for client in [&one.client, &two.client] {
                served += u32::from(client.chat("gpt").await.status == 200);
            }
        }
        assert_eq!(served, 8, "{mesh}");
    };
    let [istio, envoy_gateway] = MESHES;
    tokio::join!(story(istio), story(envoy_gateway));
}
