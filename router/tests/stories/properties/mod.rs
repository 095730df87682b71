//! What holds under any limits and any order of events: workers interrupt each other between
//! reading and writing, die, and retry failed requests.

mod audit;
mod setting;
mod simulation;
mod threads;

use std::cell::RefCell;
use std::time::Duration;

use llm_balancer_router::StreamEnd;
use proptest::prelude::*;

use setting::{Limits, STRATEGIES, Setting};
use simulation::{Deed, Event, Interrupted, Simulation, WORKERS};

fn some<T: Clone + std::fmt::Debug>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.6, values)
}

prop_compose! {
    fn limits()(rpm in some(1..6_u64), tpm in some(50..400_u64), parallel in some(1..4_u32)) -> Limits {
        Limits { rpm, tpm, parallel }
    }
}

prop_compose! {
    fn settings()(
        limits in proptest::collection::vec(limits(), 1..4),
        strategy in proptest::sample::select(STRATEGIES.to_vec()),
        cooldown in 0..30_u32,
    ) -> Setting {
        Setting { limits, strategy, cooldown }
    }
}

fn deeds() -> impl Strategy<Value = Deed> {
    let status = proptest::sample::select(vec![0, 1, 400, 401, 404, 429, 500, 503]);
    let ends = proptest::sample::select(vec![
        StreamEnd::Interrupted,
        StreamEnd::TimedOut { passed: 0 },
        StreamEnd::ClientDisconnected,
    ]);
    prop_oneof![
        8 => (0..200_u64).prop_map(Deed::Begin),
        4 => (any::<usize>(), some(0..300_u64)).prop_map(|(which, tokens)| Deed::Answer(which, tokens)),
        2 => (any::<usize>(), status).prop_map(|(which, status)| Deed::Fail(which, status)),
        1 => any::<usize>().prop_map(Deed::Leave),
        1 => (any::<usize>(), ends, some(0..300_u64)).prop_map(|(which, end, tokens)| Deed::Interrupt(which, end, tokens)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, is_reused)| Deed::Break(which, is_reused)),
        1 => any::<usize>().prop_map(Deed::Reset),
        1 => any::<usize>().prop_map(Deed::Unanswered),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    (0..WORKERS, deeds())
}

/// Sometimes a worker dies.
fn all_events() -> impl Strategy<Value = Event> {
    (0..WORKERS, prop_oneof![20 => deeds(), 1 => Just(Deed::Die)])
}

/// No time, a short one, or one that may reach into the next minute.
fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => Just(Duration::ZERO),
        3 => (1..3000_u64).prop_map(Duration::from_millis),
        1 => (3..70_u64).prop_map(Duration::from_secs),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_hold_no_deployment_with_room_is_skipped_and_everything_is_settled_once(
        setting in settings(),
        story in proptest::collection::vec((times(), all_events()), 1..60),
    ) {
        let simulation = Simulation::of(&setting);
        for (time, event) in story {
            simulation.pass(time);
            let refused = simulation.happen(event, &simulation.memory);
            if let (Some(reply), Deed::Begin(most)) = (refused, event.1) {
                simulation.check_refusal(&reply, most);
            }
            simulation.audit();
        }
        simulation.wind_up();
    }

    #[test]
    fn limits_hold_when_workers_interrupt_each_other_between_reading_and_writing(
        setting in settings(),
        story in proptest::collection::vec(
            (times(), events(), proptest::collection::vec(proptest::option::of(events()), 0..6)),
            1..40,
        ),
    ) {
        let simulation = Simulation::of(&setting);
        simulation.is_quiet.set(false);
        for (time, event, before) in story {
            simulation.pass(time);
            let before = RefCell::new(before);
            let store = Interrupted { simulation: &simulation, own: event.0 % WORKERS, before };
            simulation.happen(event, &store);
            simulation.audit();
        }
        simulation.wind_up();
    }

    #[test]
    fn a_request_after_retry_after_is_served_and_one_a_second_earlier_is_not(
        rpms in proptest::collection::vec(1..4_u64, 1..3),
        start in 0..60_000_u64,
    ) {
        let limits = rpms.iter().map(|rpm| Limits { rpm: Some(*rpm), ..Limits::default() }).collect();
        let setting = Setting { limits, strategy: "simple-shuffle", cooldown: 5 };
        let simulation = Simulation::of(&setting);
        simulation.pass(Duration::from_millis(start));
        let begin = || simulation.happen((0, Deed::Begin(1)), &simulation.memory);
        for _ in 0..rpms.iter().sum() {
            prop_assert_eq!(begin(), None);
        }
        let reply = begin().unwrap();
        let retry_after = reply.headers.iter().find(|(name, _)| *name == "retry-after").unwrap();
        let wait = Duration::from_secs(retry_after.1.parse().unwrap());
        simulation.pass(wait - Duration::from_secs(1));
        prop_assert!(begin().is_some());
        simulation.pass(Duration::from_secs(1));
        prop_assert_eq!(begin(), None);
    }
}
