//! simple-shuffle, counted over thousands of picks through the real thing: weight before rpm before
//! tpm before chance.

use llm_balancer_integration::World;
use llm_balancer_integration::statistics::assert_shares;

/// Deployments of one group and the share that each should have.
struct Case {
    group: &'static str,
    deployments: &'static [(&'static str, f64)],
    picks: usize,
}

/// The shares that LiteLLM's simple-shuffle gives; `, weight: 9` and so on are litellm_params.
const CASES: [Case; 14] = [
    Case { group: "weight", deployments: &[(", weight: 9", 9.0), (", weight: 1", 1.0)], picks: 3000 },
    Case { group: "rpm", deployments: &[(", rpm: 900", 9.0), (", rpm: 100", 1.0)], picks: 3000 },
    Case {
        group: "tpm",
        deployments: &[(", tpm: 70000", 7.0), (", tpm: 20000", 2.0), (", tpm: 10000", 1.0)],
        picks: 3000,
    },
    Case { group: "uniform", deployments: &[("", 1.0), ("", 1.0), ("", 1.0)], picks: 3000 },
    Case {
        group: "weight-before-rpm",
        deployments: &[(", weight: 1", 1.0), (", rpm: 900", 0.0)],
        picks: 500,
    },
    Case {
        group: "weight-then-rpm-of-both",
        deployments: &[(", weight: 1, rpm: 900", 1.0), (", weight: 3, rpm: 1", 3.0)],
        picks: 2000,
    },
    Case {
        group: "rpm-before-tpm",
        deployments: &[(", tpm: 90000", 0.0), (", tpm: 10, rpm: 1", 1.0)],
        picks: 500,
    },
    Case { group: "rpm-on-one", deployments: &[(", rpm: 5", 1.0), ("", 0.0)], picks: 500 },
    Case {
        group: "no-weight-at-all",
        deployments: &[(", weight: 0", 1.0), (", weight: 0", 1.0)],
        picks: 1000,
    },
    Case {
        group: "weights-that-cancel",
        deployments: &[(", weight: -1", 1.0), (", weight: 1", 1.0)],
        picks: 1000,
    },
    Case {
        group: "nothing-for-the-first",
        deployments: &[(", weight: 0", 0.0), (", weight: 1", 1.0)],
        picks: 500,
    },
    Case {
        group: "fractions",
        deployments: &[(", weight: 0.25", 1.0), (", weight: 0.75", 3.0)],
        picks: 2000,
    },
    Case {
        group: "zero-weights-then-rpm",
        deployments: &[(", weight: 0, rpm: 1", 1.0), (", weight: 0, rpm: 4", 4.0)],
        picks: 2000,
    },
    Case { group: "quoted", deployments: &[(", rpm: '8'", 4.0), (", rpm: '2'", 1.0)], picks: 1000 },
];

fn config() -> String {
    let mut text = "llm_balancer: {limits: soft}\nmodel_list:\n".to_owned();
    for Case { group, deployments, .. } in &CASES {
        for (number, (params, _)) in deployments.iter().enumerate() {
            text.push_str(&format!(
                "- {{model_name: {group}, litellm_params: {{model: openai/m, api_base: PROVIDER/{group}-{number}/v1, api_key: k{params}}}, model_info: {{id: {group}-{number}}}}}\n"
            ));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simple_shuffle_picks_by_weight_then_rpm_then_tpm_then_chance() {
    let world = World::new(&config()).await;
    for Case { group, deployments, picks } in &CASES {
        let names: Vec<String> = (0..deployments.len()).map(|number| format!("{group}-{number}")).collect();
        let shares: Vec<(&str, f64)> =
            names.iter().map(String::as_str).zip(deployments.iter().map(|(_, share)| *share)).collect();
        assert_shares(&world.picks(group, *picks).await, &shares);
        world.provider.forget();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_shuffle_alike() {
    let config = "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k, weight: 3}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}}
";
    let world = World::with_workers(2, config).await;
    assert_shares(&world.picks("gpt", 3000).await, &[("paris", 3.0), ("virginia", 1.0)]);
}
