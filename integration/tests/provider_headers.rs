//! Which headers of a provider reach a client, and what a client gets in place of a redirect.

use llm_balancer_integration::{Answer, World};

/// Speak for the host that sends them, and so for ours if they passed.
const WITHHELD: [(&str, &str); 25] = [
    ("alt-svc", "h3=\":443\"; ma=86400"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("set-cookie", "__cf_bm=secret; path=/; Secure"),
    ("public-key-pins", "pin-sha256=\"x\"; max-age=1"),
    ("clear-site-data", "\"*\""),
    ("nel", "{}"),
    ("report-to", "{}"),
    ("content-security-policy", "default-src 'none'"),
    ("access-control-allow-origin", "*"),
    ("cross-origin-resource-policy", "same-site"),
    ("www-authenticate", "Bearer realm=\"provider\""),
    ("proxy-authenticate", "Basic"),
    ("refresh", "0; url=https://provider.test/"),
    ("location", "https://provider.test/"),
    ("x-accel-redirect", "/etc/passwd"),
    ("x-envoy-upstream-service-time", "3"),
    ("x-envoy-immediate-health-check-fail", "true"),
    ("x-envoy-ratelimited", "true"),
    ("x-llm-balancer-explain", "{}"),
    ("x-llm-client", "z"),
    ("x-llm-cluster", "redis"),
    ("x-llm-next-attempt", "z"),
    ("x-llm-reused", "1"),
    ("x-litellm-response-cost", "9"),
    ("x-llm-retry", "1"),
];

fn with_withheld(answer: Answer) -> Answer {
    WITHHELD.iter().fold(answer, |answer, (name, value)| answer.header(name, *value))
}

#[tokio::test]
async fn what_a_provider_says_about_its_host_does_not_reach_clients_and_the_rest_does() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    for status in [200, 400, 401, 500, 503] {
        let answer = if status == 200 { Answer::ok() } else { Answer::status(status) };
        let answer =
            with_withheld(answer).header("openai-processing-ms", "12").header("x-request-id", "req_1");
        world.provider.script("paris", [answer]);
        let reply = world.chat("gpt").await;
        assert_eq!(reply.status, status);
        for (name, _) in WITHHELD {
            assert_eq!(reply.header(name), None, "{name} of a {status}");
        }
        assert_eq!(reply.header("server"), Some("envoy"));
        assert_eq!(reply.header("openai-processing-ms"), Some("12"), "{status}");
        assert_eq!(reply.header("x-request-id"), Some("req_1"), "{status}");
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_redirect_becomes_a_whole_error_that_names_where_it_leads() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    let origin = world.provider.origin();
    let redirect = |status: u16, location: &str| {
        Answer::status(status).header("location", location).header("set-cookie", "session=secret")
    };
    for (what, answer, expected) in [
        (
            "without a body",
            redirect(307, "https://b.test/v1/chat?key=secret").body(""),
            "https://b.test/v1/chat",
        ),
        (
            "with a body",
            redirect(302, "https://u:secret@b.test/login").body("<a>Found</a>"),
            "https://b.test/login",
        ),
        (
            "in chunks",
            redirect(308, "/v1/chat/completions/?secret"),
            &format!("{origin}/v1/chat/completions/"),
        ),
        ("not modified", redirect(304, "https://b.test/").body(""), "https://b.test/"),
        ("nowhere", Answer::status(301).body(""), "status 301."),
    ] {
        let answer = answer.header("x-powered-by", "provider").header("content-language", "fr");
        world.provider.script("paris", [answer]);
        let reply = world.chat("gpt").await;
        assert!(reply.complete, "{what}");
        let error = reply.error(502);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected) && message.contains("api_base"), "{what}: {message}");
        assert!(!format!("{reply:?}").contains("secret"), "{what}: {reply:?}");
        for name in ["location", "set-cookie", "x-powered-by", "content-language", "x-llm-retry"] {
            assert_eq!(reply.header(name), None, "{what}: {name}");
        }
        assert_eq!(reply.header("x-litellm-model-id"), Some("paris"), "{what}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn an_error_without_a_body_gets_one_and_keeps_its_status() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    for status in [400, 401, 404, 418, 429, 500, 502, 503, 529, 599] {
        for body in ["", " \n"] {
            world.provider.script("paris", [Answer::status(status).body(body).retry_after("7")]);
            let reply = world.chat("gpt").await;
            let error = reply.error(status);
            assert!(error["message"].as_str().unwrap().contains("empty body"), "{error}");
            assert_eq!(reply.header("retry-after"), Some("7"), "{status}");
            assert_eq!(reply.header("x-litellm-model-id"), Some("paris"), "{status}");
        }
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn an_error_of_envoys_is_replaced_as_a_whole_too() {
    let mut world = World::group(&["paris"], "num_retries: 0, timeout: 0.3, disable_cooldowns: true").await;
    for (answer, status) in [(Answer::ok().reset(), 500), (Answer::ok().hang(), 408)] {
        world.provider.script("paris", [answer]);
        let reply = world.chat("gpt").await;
        reply.error(status);
        assert_eq!(reply.header("x-llm-retry"), None);
        assert_eq!(reply.retries(), 0);
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_provider_that_uses_our_header_names_fools_nobody() {
    let world = World::group(&["paris"], "").await;
    let pretend = |answer: Answer| {
        answer
            .header("x-llm-retry", "1")
            .header("x-litellm-model-id", "evil")
            .header("x-litellm-attempted-retries", "9")
            .header("x-envoy-attempt-count", "9")
            .header("x-llm-cluster", "evil")
    };
    for (answer, status) in [(pretend(Answer::ok()), 200), (pretend(Answer::status(400)), 400)] {
        world.provider.always("paris", answer);
        let reply = world.chat("gpt").await;
        assert_eq!(reply.status, status);
        assert_eq!(world.provider.calls().len(), 1, "a header of the provider's made us retry");
        assert_eq!(
            reply
                .headers
                .get_all("x-litellm-model-id")
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect::<Vec<_>>(),
            ["paris"]
        );
        assert_eq!(reply.headers.get_all("x-litellm-attempted-retries").iter().count(), 1);
        assert_eq!(reply.retries(), 0);
        assert_eq!(reply.header("x-llm-retry"), None);
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_provider_behind_an_envoy_of_its_own_does_not_stop_our_retries() {
    let world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    // With these an Envoy tells the next one that trying again would be of no use: here it is,
    // elsewhere.
    let answers = [
        Answer::status(503).header("x-envoy-overloaded", "true"),
        Answer::status(429).header("x-envoy-ratelimited", "true"),
    ];
    for answer in answers {
        world.provider.script("paris", [answer.clone()]);
        world.provider.script("virginia", [answer.clone()]);
        let reply = world.chat("gpt").await;
        assert_eq!((reply.status, reply.retries()), (200, 2), "{answer:?}: {}", reply.text());
        assert_eq!(world.provider.calls().len(), 3);
        world.provider.forget();
    }
}
