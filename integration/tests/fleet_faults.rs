//! Faults of Redis and of the network to it: clients are served within limits and do not notice,
//! and nothing needs a restart afterwards.

use std::ops::Deref;
use std::time::{Duration, Instant};

use llm_balancer_integration::fleet::{
    ACQUAINTED, REDIS_DOWN, REDIS_UP, Timed, pair, percentile, served, served_each,
};
use llm_balancer_integration::{Fleet, Link, Redis, eventually, minute};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

const LIMIT: usize = 200;
/// Of it, what each of two instances has.
const SHARE: usize = 100;
/// An outage that is more than a moment.
const OUTAGE: Duration = Duration::from_secs(5);
/// What instances hold at least of a minute in which Redis goes away: with that they go on.
const HELD: usize = 150;
/// A part of a limit that is never refused.
const QUARTER: usize = LIMIT / 4;
/// So long after it has ended, an instance costs the others nothing.
const FORGOTTEN: Duration = Duration::from_secs(31);
/// Longer than one of the stories takes on a busy machine, within a minute.
const STORY: Duration = Duration::from_secs(25);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn config(redis: &str) -> String {
    let groups: String =
        ["before", "during", "away", "after", "even", "skewed"].map(|name| pair(name, ", rpm: 100")).concat();
    format!(
        "model_list:\n{groups}{}router_settings: {{redis_host: 127.0.0.1, redis_port: REDIS{redis}}}\n",
        pair("wide", ", rpm: 100000")
    )
}

/// Two instances that know each other.
struct Two {
    fleet: Fleet,
    _turn: SemaphorePermit<'static>,
}

impl Deref for Two {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        &self.fleet
    }
}

/// Of the tests that run at the same time, so many tell their stories, or none of them had time for
/// Redis.
static TURNS: Semaphore = Semaphore::const_new(3);

/// Two instances that know each other, and a minute with room.
async fn two(ports: [u16; 2], settings: &str) -> Two {
    let turn = TURNS.acquire().await.expect("it is never closed");
    let fleet = Fleet::start(&config(settings), 2, &ports).await;
    fleet.acquaint().await;
    minute::with_room_for(STORY).await;
    Two { fleet, _turn: turn }
}

/// Chats of a few clients at both instances, for so long.
async fn chats(fleet: &Fleet, time: Duration, group: &str) -> Vec<Timed> {
    fleet.steady(&[0, 1], 8, time, ms(5), group).await
}

/// A part of a quarter of the limit, evenly and at one instance; asserts that none is refused.
async fn plenty(fleet: &Fleet, count: usize) {
    let all: Vec<usize> = (0..fleet.instances.len()).collect();
    for (group, at) in [("even", &all[..]), ("skewed", &[0])] {
        let answers = fleet.crowd(at, at.len(), count, group).await;
        assert_eq!(served(&answers), count, "{group}: {}", fleet.instances[0].log());
    }
}

/// The same, bit by bit.
async fn plenty_for_a_while(fleet: &Fleet, count: usize) {
    for _ in 0..count / 2 {
        plenty(fleet, 2).await;
        sleep(ms(100)).await;
    }
}

/// Asserts that no request took noticeably longer than those of another time.
#[track_caller]
fn assert_as_quick(answers: &[Timed], as_those: &[Timed]) {
    served(answers);
    let (median, most) = (percentile(answers, 50), percentile(answers, 100));
    println!(
        "median {median:?} (was {:?}), p99 {:?}, most {most:?}, of {}",
        percentile(as_those, 50),
        percentile(answers, 99),
        answers.len()
    );
    assert!(median < percentile(as_those, 50) + ms(50), "usually {median:?}");
    // One that waits for Redis itself takes two seconds.
    assert!(most < percentile(as_those, 100) + ms(1500), "{most:?}");
}

/// How many of so many requests are served, and of later ones if they are fewer than the limit.
async fn served_of(fleet: &Fleet, instances: &[usize], requests: usize, group: &str) -> usize {
    let count = served(&fleet.crowd(instances, 20, requests, group).await);
    if count >= LIMIT {
        return count;
    }
    count + fleet.served_later(instances[0], LIMIT, group).await
}

/// Redis fails and recovers for both instances within one minute.
async fn goes_and_comes_back(
    fleet: &Fleet,
    redis: &mut Redis,
    goes: impl AsyncFnOnce(&mut Redis),
    comes: impl AsyncFnOnce(&mut Redis),
) {
    let control = chats(fleet, ms(700), "wide").await;
    assert_eq!(served_of(fleet, &[0, 1], 300, "before").await, LIMIT);
    let story = async {
        sleep(ms(150)).await;
        goes(redis).await;
    };
    plenty(fleet, 6).await;
    let (during, wide, (), ()) = tokio::join!(
        chats(fleet, ms(3000), "during"),
        chats(fleet, ms(3000), "wide"),
        plenty_for_a_while(fleet, 24),
        story
    );
    assert_as_quick(&during, &control);
    assert_as_quick(&wide, &control);
    assert_eq!(served(&wide), wide.len(), "far below its limit");
    fleet.says(&[0, 1], REDIS_DOWN, 1).await;
    sleep(OUTAGE).await;
    let away = fleet.crowd(&[0, 1], 20, 600, "away").await;
    assert_eq!(served_each(&away), [(0, SHARE), (1, SHARE)].into(), "each its share");
    assert_as_quick(&away, &control);
    plenty(fleet, 10).await;

    comes(redis).await;
    plenty(fleet, 4).await;
    let back = fleet.says(&[0, 1], REDIS_UP, 1).await;
    println!("back after {back:?}");
    plenty(fleet, 6).await;
    let during = served(&during) + served(&fleet.crowd(&[0, 1], 20, 300, "during").await);
    println!("during: {during}");
    const { assert!(6 + 24 + 10 + 4 + 6 == QUARTER) };
    assert!((HELD..=LIMIT).contains(&during), "{during} of {LIMIT}");
    assert_eq!(served(&fleet.crowd(&[0, 1], 20, 300, "away").await), 0, "its minute is used up");
    assert_eq!(served(&fleet.crowd(&[0, 1], 20, 100, "before").await), 0, "its minute is used up");
    assert_eq!(served_of(fleet, &[0, 1], 600, "after").await, LIMIT);
}

macro_rules! redis_goes {
    ($name:ident, $goes:expr, $comes:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut redis = Redis::launch().line("user ada on >word ~* &* +@all").start().await;
            let as_ada = ", redis_username: ada, redis_password: word";
            let fleet = two([redis.port(); 2], as_ada).await;
            goes_and_comes_back(&fleet, &mut redis, $goes, $comes).await;
        }
    };
}

redis_goes!(redis_may_stop_and_start_again_with_nothing_in_it, async |redis| redis.stop(), async |redis| {
    redis.restart_empty().await;
});
redis_goes!(redis_may_freeze, async |redis| redis.freeze(), async |redis| redis.thaw());
redis_goes!(
    redis_may_refuse_the_password,
    async |redis| tell(redis, &["ACL", "SETUSER", "ada", "resetpass", ">other"]).await,
    async |redis| tell(redis, &["ACL", "SETUSER", "ada", "resetpass", ">word"]).await
);
redis_goes!(
    redis_may_be_out_of_memory,
    async |redis| tell(redis, &["CONFIG", "SET", "maxmemory", "1"]).await,
    async |redis| tell(redis, &["CONFIG", "SET", "maxmemory", "0"]).await
);
redis_goes!(
    redis_may_become_a_replica,
    async |redis| tell(redis, &["REPLICAOF", "127.0.0.1", "1"]).await,
    async |redis| tell(redis, &["REPLICAOF", "NO", "ONE"]).await
);

async fn tell(redis: &Redis, words: &[&str]) {
    assert_eq!(redis.command(words).await, "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_restarted_with_nothing_in_it_at_any_moment() {
    let mut redis = Redis::start().await;
    let fleet = two([redis.port(); 2], "").await;
    let restart = async {
        sleep(ms(100)).await;
        redis.restart_empty().await;
    };
    plenty(&fleet, 6).await;
    let (during, (), ()) =
        tokio::join!(chats(&fleet, ms(3500), "during"), plenty_for_a_while(&fleet, 34), restart);
    plenty(&fleet, 10).await;
    println!("during: {:?}", served_each(&during));
    assert!((HELD..=LIMIT).contains(&served(&during)), "{:?}", served_each(&during));
    assert_as_quick(&during, &during);
    assert_eq!(served_of(&fleet, &[0, 1], 600, "after").await, LIMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_come_back_with_an_old_copy_of_its_data() {
    let redis = Redis::start().await;
    let fleet = two([redis.port(); 2], "").await;
    let before = served(&fleet.crowd(&[0, 1], 20, 100, "during").await);
    // What is left after a restart from a copy, or of a replica that lagged: the epoch, another
    // run, and nothing of this minute.
    redis.command(&["SET", "llm-balancer:run", "another"]).await;
    for key in redis.command(&["KEYS", "llm-balancer:{*}:2*"]).await.lines() {
        redis.command(&["DEL", key]).await;
    }
    plenty_for_a_while(&fleet, QUARTER).await;
    let after = served(&fleet.crowd(&[0, 1], 20, 600, "during").await);
    assert_eq!(before + after, LIMIT, "{before} + {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_slow() {
    let redis = Redis::start().await;
    let links = [Link::to(redis.port()).await, Link::to(redis.port()).await];
    let fleet = two([links[0].port(), links[1].port()], "").await;
    let control = chats(&fleet, ms(700), "wide").await;
    let story = async {
        sleep(ms(150)).await;
        links.iter().for_each(|link| link.delay(ms(100)));
    };
    let (during, wide, (), ()) = tokio::join!(
        chats(&fleet, ms(3000), "during"),
        chats(&fleet, ms(3000), "wide"),
        plenty_for_a_while(&fleet, 30),
        story
    );
    assert_as_quick(&during, &control);
    assert_as_quick(&wide, &control);
    assert_eq!(served(&wide), wide.len(), "far below its limit");
    sleep(OUTAGE).await;
    let away = fleet.crowd(&[0, 1], 20, 600, "away").await;
    println!("during {:?}, away {:?}", served_each(&during), served_each(&away));
    assert!((HELD..=LIMIT).contains(&served(&during)), "{:?}", served_each(&during));
    assert!((SHARE..=LIMIT).contains(&served(&away)), "{:?}", served_each(&away));
    assert_as_quick(&away, &control);
    plenty(&fleet, 10).await;
    links.iter().for_each(Link::heal);
    sleep(ms(2000)).await;
    plenty(&fleet, 10).await;
    assert_eq!(served_of(&fleet, &[0, 1], 600, "after").await, LIMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_may_be_cut_off() {
    let redis = Redis::start().await;
    let link = Link::to(redis.port()).await;
    let fleet = two([redis.port(), link.port()], "").await;
    let control = chats(&fleet, ms(700), "wide").await;
    let story = async {
        sleep(ms(150)).await;
        link.cut();
    };
    let (during, (), ()) =
        tokio::join!(chats(&fleet, ms(1500), "during"), plenty_for_a_while(&fleet, 30), story);
    println!("during {:?}", served_each(&during));
    assert_as_quick(&during, &control);
    assert!((HELD..=LIMIT).contains(&served(&during)), "{:?}", served_each(&during));
    fleet.says(&[1], REDIS_DOWN, 1).await;
    // The others leave its share to it from the first moment.
    let early = fleet.crowd(&[0, 1], 20, 600, "after").await;
    assert_eq!(served_each(&early), [(0, SHARE), (1, SHARE)].into(), "each its share");
    sleep(OUTAGE).await;
    let away = fleet.crowd(&[0, 1], 20, 600, "away").await;
    assert_eq!(served_each(&away), [(0, SHARE), (1, SHARE)].into(), "each its share");
    plenty(&fleet, 10).await;
    link.heal();
    let back = fleet.says(&[1], REDIS_UP, 1).await;
    println!("back after {back:?}");
    plenty(&fleet, 10).await;
    sleep(ms(1200)).await;
    assert_eq!(served(&fleet.crowd(&[0, 1], 20, 300, "away").await), 0, "its minute is used up");
    assert_eq!(served_of(&fleet, &[0, 1], 600, "before").await, LIMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_may_be_killed_with_leases_in_its_hands() {
    let redis = Redis::start().await;
    let fleet = two([redis.port(); 2], "").await;
    let first = fleet.crowd(&[0, 1], 20, 100, "during").await;
    fleet.instances[1].kill();
    let killed = Instant::now();
    let rest = fleet.crowd(&[0], 20, 600, "during").await;
    let all = served(&first) + served(&rest);
    println!("during {:?} + {}, most {:?}", served_each(&first), served(&rest), percentile(&rest, 100));
    assert!(percentile(&rest, 50) < percentile(&first, 50) + ms(150), "{:?}", percentile(&rest, 50));
    // The minute lacks at most what the killed one held and had not used: the rest of its share.
    let by_killed = served_each(&first).get(&1).copied().unwrap_or(0);
    assert!((SHARE + by_killed..=LIMIT).contains(&all), "{all} of {LIMIT}, {by_killed} by the killed one");
    assert_eq!(served(&fleet.crowd(&[0], 2, QUARTER, "skewed").await), QUARTER);
    // It may only be cut off, so what it may serve is left to it for a while.
    sleep(ACQUAINTED).await;
    assert_eq!(served(&fleet.crowd(&[0], 20, 600, "away").await), SHARE);
    sleep(FORGOTTEN.saturating_sub(killed.elapsed())).await;
    // What it may have served of a minute stays taken.
    minute::turn().await;
    assert_eq!(served_of(&fleet, &[0], 600, "after").await, LIMIT);
    // A busy machine may have no time for Redis for a moment. That an instance died is no reason.
    let count = |words| fleet.instances[0].log().matches(words).count();
    let is_up = eventually(async || count(REDIS_DOWN) == count(REDIS_UP)).await;
    assert!(is_up, "Redis is up all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_may_start_before_redis() {
    let mut redis = Redis::start().await;
    redis.stop();
    let fleet = two([redis.port(); 2], "").await;
    let alone = fleet.crowd(&[0, 1], 8, QUARTER, "before").await;
    assert_eq!(served(&alone), QUARTER);
    // They do not know each other.
    let more = served(&fleet.crowd(&[0, 1], 8, 600, "before").await);
    assert_eq!(QUARTER + more, LIMIT / 2, "a quarter each");
    assert!(percentile(&alone, 100) < ms(1500), "{:?}", percentile(&alone, 100));
    fleet.says(&[0, 1], REDIS_DOWN, 1).await;
    redis.restart_empty().await;
    let begun = Instant::now();
    fleet.says(&[0, 1], REDIS_UP, 1).await;
    println!("back after {:?}", begun.elapsed());
    assert!(begun.elapsed() < ms(3000), "{:?}", begun.elapsed());
    assert_eq!(served_of(&fleet, &[0, 1], 600, "after").await, LIMIT);
}

/// Redis freezes within a minute and is still away in the next one.
async fn a_quarter_is_served_over_the_turn_of_a_minute_by((redis, fleet): (Redis, Fleet)) {
    plenty(&fleet, 10).await;
    // Where one of many gets all, the others leave a part of their shares to it.
    sleep(ACQUAINTED).await;
    redis.freeze();
    plenty_for_a_while(&fleet, 20).await;
    plenty(&fleet, 20).await;
    minute::turn().await;
    plenty_for_a_while(&fleet, 30).await;
    redis.thaw();
    plenty(&fleet, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_two_and_five_instances_serve_a_quarter_over_the_turn_of_a_minute() {
    let fleet = async |instances| {
        let redis = Redis::start().await;
        let fleet = Fleet::start(&config(""), 1, &vec![redis.port(); instances]).await;
        fleet.acquaint().await;
        (redis, fleet)
    };
    let _turn = TURNS.acquire().await.expect("it is never closed");
    let (one, two, five) = tokio::join!(fleet(1), fleet(2), fleet(5));
    minute::with_room_for(STORY).await;
    let story = a_quarter_is_served_over_the_turn_of_a_minute_by;
    tokio::join!(story(one), story(two), story(five));
}
