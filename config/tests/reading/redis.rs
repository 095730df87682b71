//! Which Redis a file and its environment name.

use super::*;

/// The file's Redis with these variables, without its password.
fn redis_with(rest: &str, variables: &[(&str, &str)]) -> Option<String> {
    let text = format!("{}{rest}", with_params("model: gpt-4o, api_key: none"));
    let env =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let Reading { config, findings, .. } = read("config.yaml", &text, &env);
    let redis = config.unwrap_or_else(|| panic!("{findings:#?}")).redis?;
    let llm_balancer_config::Redis { host, port, database, username, password, tls, namespace } = redis;
    let user = username.unwrap_or_default();
    let password = password.map(|password| password.reveal().to_owned()).unwrap_or_default();
    Some(format!("{user}:{password}@{host}:{port}/{database} {tls:?} {namespace}"))
}

#[test]
fn redis_is_found_wherever_real_files_name_it() {
    let cache = "litellm_settings: {cache: true, cache_params: {type: redis";
    let rows = [
        ("router_settings: {redis_host: redis}".to_owned(), ":@redis:6379/0 Off llm-balancer"),
        (
            "router_settings: {redis_host: ::1, redis_port: '6380', redis_db: 2, redis_username: ada, redis_password: os.environ/PW, redis_ssl: true}".to_owned(),
            "ada:word@::1:6380/2 SystemCas llm-balancer",
        ),
        (
            "router_settings: {redis_url: os.environ/URL}".to_owned(),
            "ada:w/rd@redis:6380/1 SystemCas llm-balancer",
        ),
        (
            "router_settings: {redis_host: redis, redis_password: '', redis_ssl: true, redis_ssl_ca_certs: /ca.pem}\nllm_balancer: {redis_namespace: 'prod:a'}".to_owned(),
            ":@redis:6379/0 CaFile(\"/ca.pem\") prod:a",
        ),
        (
            "router_settings: {redis_host: redis}\ngeneral_settings: {redis_port: 1, redis_password: os.environ/PW}".to_owned(),
            ":word@redis:1/0 Off llm-balancer",
        ),
        (
            format!("{cache}, host: redis, port: os.environ/PORT, password: os.environ/PW, ssl: 'True', namespace: litellm.cache}}}}"),
            ":word@redis:6390/0 SystemCas litellm.cache",
        ),
        (
            format!("{cache}, host: cache}}}}\ngeneral_settings: {{coordination_redis: {{host: redis, port: os.environ/PORT, password: os.environ/PW, ssl: true}}}}"),
            ":word@redis:6390/0 SystemCas llm-balancer",
        ),
        (
            "router_settings: {redis_host: redis}\ngeneral_settings: {coordination_redis: {url: 'redis://other'}}".to_owned(),
            ":@redis:6379/0 Off llm-balancer",
        ),
        (format!("{cache}, url: 'redis://cache/3'}}}}"), ":@cache:6379/3 Off llm-balancer"),
        (
            format!("{cache}, host: cache, namespace: x}}}}\nrouter_settings: {{redis_host: redis}}"),
            ":@redis:6379/0 Off llm-balancer",
        ),
    ];
    let variables = [("PW", "word"), ("PORT", "6390"), ("URL", "rediss://ada:w%2Frd@Redis:6380/1")];
    for (rest, expected) in rows {
        assert_eq!(redis_with(&rest, &variables).as_deref(), Some(expected), "{rest}");
    }
}

#[test]
fn the_environment_fills_in_what_the_file_leaves_open_and_switches_nothing_on() {
    let variables = [
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "6390"),
        ("REDIS_USERNAME", "ada"),
        ("REDIS_PASSWORD", "word"),
        ("REDIS_SSL", "true"),
    ];
    let all = Some("ada:word@redis:6390/0 SystemCas llm-balancer");
    let rows = [
        ("", None),
        ("router_settings: {num_retries: 1}", None),
        ("litellm_settings: {cache: false, cache_params: {type: redis}}", None),
        ("litellm_settings: {cache: true, cache_params: {type: local}}", None),
        ("litellm_settings: {cache: true, cache_params: {type: redis}}", all),
        ("litellm_settings: {cache: true}", all),
        ("router_settings: {redis_host: os.environ/REDIS_HOST}", all),
        ("router_settings: {redis_port: 6390}", all),
        (
            "router_settings: {redis_host: mine, redis_ssl: false}",
            Some("ada:word@mine:6390/0 Off llm-balancer"),
        ),
        ("router_settings: {redis_url: 'redis://mine'}", Some(":@mine:6379/0 Off llm-balancer")),
    ];
    for (rest, expected) in rows {
        assert_eq!(redis_with(rest, &variables).as_deref(), expected, "{rest}");
    }
    let rest = "litellm_settings: {cache: true, cache_params: {type: redis}}";
    let url = [("REDIS_HOST", "no"), ("REDIS_PASSWORD", "no"), ("REDIS_URL", "redis://:word@redis/4")];
    assert_eq!(redis_with(rest, &url).as_deref(), Some(":word@redis:6379/4 Off llm-balancer"));
}

#[test]
fn variables_that_redis_may_need_are_among_the_names_whether_they_are_set_or_not() {
    let names = with_settings("router_settings: {redis_host: redis}").env_names;
    for name in ["REDIS_PASSWORD", "REDIS_USERNAME", "REDIS_URL"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    let names = with_settings("router_settings: {num_retries: 1}").env_names;
    assert!(!names.iter().any(|name| name.starts_with("REDIS")), "{names:?}");
}

#[test]
fn a_password_of_redis_is_never_printed() {
    let rest = "router_settings: {redis_url: 'redis://ada:s3cret@redis'}";
    let redis = with_settings(rest).redis.unwrap();
    assert!(!format!("{redis:?}").contains("s3cret"), "{redis:?}");
    for rest in [
        "router_settings: {redis_url: 'redis://ada:s3cret@redis:s3cret'}",
        "router_settings: {redis_url: 'redis://ada:s3cret@redis/s3cret?s3=1'}",
        "router_settings: {redis_url: 's3cret'}",
        "router_settings: {redis_url: 'http://:s3cret@redis'}",
    ] {
        let text = format!("{}{rest}", with_params("model: gpt-4o"));
        let said = findings(&text);
        assert!(said.contains(": error: ") && !said.contains("s3cret"), "{said}");
    }
}
