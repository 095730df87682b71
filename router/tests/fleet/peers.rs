//! Instances one by one: what each leaves in Redis, and what the others make of it.

use std::time::Duration;

use llm_balancer_config::read;
use llm_balancer_router::testing::{Memory, Record, UnixMillis, decode, encode, resp};
use llm_balancer_router::{
    Amount, Arrival, Awaited, Call, FollowUp, Membership, Moment, Recall, RedisTransition, Router, SplitMix,
    Step, Store,
};

use crate::redis::Redis;

const CONFIG: &str = "
model_list:
- model_name: g
  litellm_params: {model: openai/m, api_base: 'http://h.test/v1', api_key: k, rpm: 100}
  model_info: {id: paris}
router_settings: {redis_host: redis.test}
";
const KEY: &str = "d/paris";
const NOON: Duration = Duration::from_secs(29_000_000 * 60);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn router(file: &str, number: u32) -> Router {
    Router::new(read("config.yaml", file, &|_| None).config.expect("a configuration"), number)
}

/// An instance, by its own clock.
struct Peer {
    router: Router,
    store: Memory,
    random: SplitMix,
    number: u32,
}

impl Peer {
    fn new(number: u32) -> Self {
        let (router, store) = (router(CONFIG, number), Memory::default());
        router.open(&store);
        Self { router, store, random: SplitMix::new(u64::from(number)), number }
    }

    /// Reads another file.
    fn reload(&mut self, file: &str) {
        self.router = router(file, self.number);
        self.router.open(&self.store);
    }

    fn record(&self) -> Record {
        decode(&self.store.get(KEY).expect("a record").0).expect("a record")
    }

    /// The deployment begins to cool down for a minute, and its first token has taken so long.
    fn learns(&self, ms: f32, now: Duration) {
        let mut record = self.record();
        record.cooldown.from = UnixMillis::of(now);
        record.cooldown.until = UnixMillis::of(now + 60 * SECOND);
        record.latency.first.ms = ms;
        record.latency.first.at.0 = u32::try_from(now.as_secs()).expect("a time of this age");
        let version = self.store.get(KEY).map(|(_, version)| version);
        assert!(self.store.swap(KEY, &encode(&record), version));
    }

    /// Exchanges with the others through Redis, whose clock may differ.
    fn exchange(&mut self, redis: &mut Redis, now: Duration, at_redis: Duration) {
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let calls = self.router.fleet().expect("it has Redis").exchange(&mut moment);
        self.make(redis, calls, now, at_redis);
    }

    /// Asks for a lease for so many requests that wait.
    fn acquire(&mut self, redis: &mut Redis, requests: u64, now: Duration) {
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let shortfall = Amount { requests, tokens: 0 };
        let call = self.router.fleet().expect("it has Redis").acquire(&[(0, shortfall)], &mut moment);
        self.make(redis, call, now, now);
    }

    /// Gives back what it is asked for, if it is.
    fn give_back(&mut self, redis: &mut Redis, now: Duration) {
        let list = format!("llm-balancer:wake:{}", Membership::read(&self.store).instance);
        let mut pipeline = Vec::new();
        resp::command(&mut pipeline, &[b"LPOP", list.as_bytes()]);
        let reply = redis.reply((0, 0), &pipeline, UnixMillis::of(now).0).expect("it does not wait");
        if resp::replies(&reply, 1).expect("a reply").first() == Some(&resp::RespValue::Nil) {
            return;
        }
        let recall = FollowUp::GiveBack(vec![Recall { deployment: 0, all: true }]);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let calls = self.router.fleet().expect("it has Redis").follow_up(recall, &mut moment);
        self.make(redis, calls, now, now);
    }

    /// A wait begins; `None` where there is one. To be called once a second.
    fn wait(&mut self, redis: &mut Redis, now: Duration) -> Option<Call> {
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let calls = self.router.fleet().expect("it has Redis").exchange(&mut moment);
        let (mut waits, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(Call::is_wait);
        self.make(redis, others, now, now);
        waits.pop()
    }

    fn is_redis_down(&self) -> bool {
        Membership::read(&self.store).is_redis_down
    }

    /// Makes these calls, but for waits.
    fn make(
        &mut self,
        redis: &mut Redis,
        calls: impl IntoIterator<Item = Call>,
        now: Duration,
        at_redis: Duration,
    ) {
        let moment = Moment { now, random: &mut self.random, store: &self.store };
        for call in calls.into_iter().filter(|call| !call.is_wait()) {
            let reply = redis.reply((self.number as usize, 0), &call.bytes, UnixMillis::of(at_redis).0);
            self.router.apply_reply(&call, reply.as_deref(), false, &moment);
        }
    }

    /// Ends, as by SIGTERM.
    fn end(&mut self, redis: &mut Redis, now: Duration) {
        Membership::deregister(&self.store);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        for call in self.router.fleet().expect("it has Redis").deregister(&mut moment) {
            redis.reply((self.number as usize, 0), &call.bytes, UnixMillis::of(now).0);
        }
    }

    /// The end of the cooldown, and the milliseconds to the first token.
    fn knows(&self) -> (UnixMillis, f32) {
        let record = self.record();
        (record.cooldown.until, record.latency.first.ms)
    }
}

/// The fields of the hash of shares that are about an instance.
fn fields_about(instance: u64, redis: &mut Redis, now: Duration) -> Vec<String> {
    let mut pipeline = Vec::new();
    resp::command(&mut pipeline, &[b"HGETALL", b"llm-balancer:shares"]);
    let reply = redis.reply((0, 0), &pipeline, UnixMillis::of(now).0).expect("it does not wait");
    let fields = resp::replies(&reply, 1).expect("a reply").remove(0);
    let text = |field: &resp::RespValue| match field {
        resp::RespValue::Bulk(field) => String::from_utf8_lossy(field).into_owned(),
        other => panic!("{other:?} is no field"),
    };
    let fields = fields.items().expect("a hash").iter().step_by(2).map(text);
    fields.filter(|field| field.contains(&instance.to_string())).collect()
}

/// It was silent for so long that another one has probed whether it has a connection.
#[test]
fn an_instance_that_has_ended_leaves_nothing_in_redis() {
    let mut redis = Redis::new();
    let [mut one, mut other] = [1, 2].map(Peer::new);
    one.exchange(&mut redis, NOON, NOON);
    for second in 0..5 {
        other.exchange(&mut redis, NOON + second * SECOND, NOON + second * SECOND);
    }
    let number = Membership::read(&one.store).instance;
    let probed = [format!("p:{number}"), number.to_string()];
    let mut fields = fields_about(number, &mut redis, NOON + 5 * SECOND);
    fields.retain(|field| !field.starts_with("b:"));
    fields.sort_by(|one, other| other.cmp(one));
    assert_eq!(fields, probed);
    one.end(&mut redis, NOON + 5 * SECOND);
    other.exchange(&mut redis, NOON + 61 * SECOND, NOON + 61 * SECOND);
    assert_eq!(fields_about(number, &mut redis, NOON + 61 * SECOND), Vec::<String>::new());
}

/// The clock of one instance is an hour ahead, or that of Redis as well. What others learn
/// afterwards counts for all of them, also for one that knows what the first one published.
#[test]
fn what_a_clock_that_is_ahead_has_published_does_not_hide_what_others_learn() {
    for at_redis in [NOON, NOON + HOUR] {
        let mut redis = Redis::new();
        let [mut ahead, mut one, mut other] = [1, 2, 3].map(Peer::new);
        ahead.learns(900.0, NOON + HOUR);
        ahead.exchange(&mut redis, NOON + HOUR, at_redis);
        other.exchange(&mut redis, NOON, at_redis);
        one.learns(20.0, NOON + SECOND);
        let learnt = (UnixMillis::of(NOON + 61 * SECOND), 20.0);
        for second in 1..4 {
            let passed = second * SECOND;
            ahead.exchange(&mut redis, NOON + HOUR + passed, at_redis + passed);
            one.exchange(&mut redis, NOON + passed, at_redis + passed);
            other.exchange(&mut redis, NOON + passed, at_redis + passed);
            assert_eq!(one.knows(), learnt, "its own, at {at_redis:?}");
        }
        if at_redis == NOON {
            assert_eq!(other.knows(), learnt);
        } else {
            assert_eq!(other.knows(), (UnixMillis(0), 0.0), "nothing of the one that is ahead");
        }
        // Its clock is set right.
        ahead.exchange(&mut redis, NOON + 9 * SECOND, NOON + 9 * SECOND);
        one.exchange(&mut redis, NOON + 9 * SECOND, NOON + 9 * SECOND);
        ahead.exchange(&mut redis, NOON + 10 * SECOND, NOON + 10 * SECOND);
        assert_eq!(ahead.knows(), learnt);
    }
}

/// By the time of the reply it had given up, or another deployment had room for it.
/// Other requests use up what is granted in the meantime.
#[test]
fn a_request_waits_for_leases_of_its_fallback_as_of_its_group() {
    let file = "
model_list:
- {model_name: g, litellm_params: {model: openai/m, api_base: 'http://h.test/v1', api_key: k, rpm: 100}, model_info: {id: paris}}
- {model_name: f, litellm_params: {model: openai/m, api_base: 'http://h.test/v1', api_key: k, rpm: 100}, model_info: {id: oslo}}
router_settings: {redis_host: redis.test, fallbacks: [{g: [f]}]}
";
    let mut redis = Redis::new();
    let (mut one, mut other) = (Peer::new(1), Peer::new(2));
    for peer in [&mut one, &mut other] {
        peer.reload(file);
        peer.exchange(&mut redis, NOON, NOON);
    }
    let mut now = NOON + SECOND;
    one.exchange(&mut redis, now, now);
    let headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
    let Arrival::Hold(request) = one.router.on_request_headers(&headers, false) else { panic!("not held") };
    let (mut retry_state, mut awaited) = (None, Vec::new());
    loop {
        let mut moment = Moment { now, random: &mut one.random, store: &one.store };
        let body = br#"{"model":"g","messages":[]}"#;
        match one.router.on_request_body(&request, body, retry_state.take(), &mut moment) {
            Step::AwaitRedis(state, Awaited::Lease { deployment, .. }) => {
                awaited.push(deployment);
                retry_state = Some(*state);
                now += Duration::from_millis(15);
            }
            Step::Reply(reply, _) => {
                assert_eq!(reply.status, 429, "{reply:?}");
                break;
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(awaited, [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn what_a_waiting_request_was_granted_and_did_not_take_goes_to_other_instances() {
    const STEP: Duration = Duration::from_millis(40);
    let mut redis = Redis::new();
    let [mut one, mut other] = [1, 2].map(Peer::new);
    for peer in [&mut one, &mut other] {
        peer.exchange(&mut redis, NOON, NOON);
    }
    one.acquire(&mut redis, 30, NOON + STEP);
    assert!(one.record().lease.held.requests >= 30, "{:?}", one.record().lease);
    for step in 2..30 {
        let lacking = 100 - other.record().lease.held.requests;
        other.acquire(&mut redis, lacking, NOON + step * STEP);
        one.give_back(&mut redis, NOON + step * STEP);
    }
    assert_eq!((one.record().lease.held.requests, other.record().lease.held.requests), (0, 100));
}

/// Its own presence would otherwise be older than the last one for as long.
#[test]
fn an_instance_whose_clock_is_set_back_stays_in_the_fleet() {
    let mut redis = Redis::new();
    let [mut one, mut other] = [1, 2].map(Peer::new);
    for second in 0..40 {
        let at_redis = NOON + HOUR + second * SECOND;
        let set_back = if second < 5 { at_redis } else { at_redis - HOUR };
        other.exchange(&mut redis, set_back, at_redis);
        one.exchange(&mut redis, at_redis, at_redis);
        assert_eq!(Membership::read(&one.store).instances, 2, "in second {second}");
    }
}

/// The user in Redis lacks a command, for example. Exchanges alone succeed.
#[test]
fn a_wait_that_redis_refuses_is_an_outage_until_one_stays_open() {
    let mut redis = Redis::new();
    let mut one = Peer::new(1);
    one.exchange(&mut redis, NOON, NOON);
    let refused: &[u8] = b":1\r\n-NOPERM no BLPOP\r\n*0\r\n+OK\r\n";
    for second in 1..5 {
        let now = NOON + second * SECOND;
        let wait = one.wait(&mut redis, now).expect("it tries again");
        assert_eq!(one.is_redis_down(), second > 1, "in second {second}");
        let moment = Moment { now, random: &mut one.random, store: &one.store };
        let result = one.router.apply_reply(&wait, Some(refused), false, &moment);
        let down = RedisTransition::Down("NOPERM no BLPOP".to_owned());
        assert_eq!(result.transition, if second == 1 { down } else { RedisTransition::None }, "one log line");
        assert_eq!(result.outcome, "error");
    }
    assert!(one.wait(&mut redis, NOON + 5 * SECOND).is_some() && one.is_redis_down());
    assert!(one.wait(&mut redis, NOON + 6 * SECOND).is_none() && !one.is_redis_down(), "it stays open");
}

#[test]
fn what_a_wait_has_taken_is_given_back_also_if_its_rest_is_refused() {
    let mut redis = Redis::new();
    let mut one = Peer::new(1);
    one.exchange(&mut redis, NOON, NOON);
    let now = NOON + SECOND;
    let wait = one.wait(&mut redis, now).expect("a wait");
    let reply = b":1\r\n*2\r\n$6\r\nwake:1\r\n$6\r\naparis\r\n-ERR wrong\r\n+OK\r\n";
    let moment = Moment { now, random: &mut one.random, store: &one.store };
    let result = one.router.apply_reply(&wait, Some(reply), false, &moment);
    let paris = Recall { deployment: 0, all: true };
    assert_eq!(result.follow_up, FollowUp::GiveBack(vec![paris]));
}

/// A reload adds tokens per minute. Both instances together may use all of them at once.
#[test]
fn a_limit_that_a_reload_adds_is_shared_in_the_same_minute() {
    let mut redis = Redis::new();
    let mut peers = [1, 2].map(Peer::new);
    for now in [NOON - 60 * SECOND, NOON - 59 * SECOND, NOON - SECOND, NOON] {
        peers.iter_mut().for_each(|peer| peer.exchange(&mut redis, now, now));
    }
    for peer in &mut peers {
        peer.acquire(&mut redis, 1, NOON);
        peer.reload(&CONFIG.replace("rpm: 100", "rpm: 100, tpm: 1000"));
        peer.acquire(&mut redis, 1, NOON + SECOND);
    }
    assert_eq!(peers.map(|peer| peer.record().lease.held.tokens), [500, 500]);
}
