//! Workers in threads of their own.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_router::testing::{Memory, Record};
use llm_balancer_router::{Arrival, Moment, ResponseSummary, Router, SplitMix, Step, Store};

use super::setting::{Limits, Setting};
use crate::common::{CHAT, NOON};

/// As many requests are served in a minute as the limits allow, and not one more or less.
#[test]
fn eight_workers_serve_exactly_what_the_limits_allow() {
    const THREADS: u32 = 8;
    const RPM: [u64; 2] = [150, 350];
    let limits = RPM.map(|rpm| Limits { rpm: Some(rpm), tpm: None, parallel: Some(40) }).to_vec();
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing-v2"] {
        let setting = Setting { limits: limits.clone(), strategy, cooldown: 5 };
        let memory = Arc::new(Memory::default());
        for minute in 0..3 {
            let now = NOON + Duration::from_secs(60 * minute);
            let serve = |vm| served_by_one(&setting, vm, now, &memory);
            let served: u64 = std::thread::scope(|scope| {
                let threads: Vec<_> = (1..=THREADS).map(|vm| scope.spawn(move || serve(vm))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(served, RPM.iter().sum::<u64>(), "{strategy}, minute {minute}");
        }
        for place in 0..RPM.len() {
            let bytes = memory.get(&format!("d/d{place}")).unwrap().0;
            assert_eq!(
                llm_balancer_router::testing::decode::<Record>(&bytes).unwrap().in_flight(),
                0,
                "{strategy}"
            );
        }
    }
}

/// The requests that one worker serves in a minute: as many as it may, a few at a time.
fn served_by_one(setting: &Setting, vm: u32, now: Duration, memory: &Arc<Memory>) -> u64 {
    const REQUESTS: u32 = 300;
    let router = Router::new(setting.config(), vm);
    router.open(&**memory);
    let mut random = SplitMix::new(u64::from(vm));
    let headers = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
    let Arrival::Hold(request) = router.on_request_headers(&headers, false) else { panic!("not held") };
    let (mut served, mut open) = (0, Vec::new());
    for _ in 0..REQUESTS {
        let mut moment = Moment { now, random: &mut random, store: &**memory };
        let body = br#"{"model":"g","messages":[]}"#;
        if let Step::Send(sending) = router.on_request_body(&request, body, None, &mut moment) {
            served += 1;
            open.push(sending.attempt);
        }
        if open.len() > 4 {
            open.drain(..).for_each(|attempt| {
                drop(router.on_response_end(attempt, ResponseSummary::default(), &moment))
            });
        }
    }
    let moment = Moment { now, random: &mut random, store: &**memory };
    open.drain(..)
        .for_each(|attempt| drop(router.on_response_end(attempt, ResponseSummary::default(), &moment)));
    served
}
