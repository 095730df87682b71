//! Several instances that share their limits: `instances` asks them, `front` balances between them,
//! `redis` is a real one, and `minute` waits for the clock minute in which limits count.

use std::time::Duration;

mod front;
mod instances;
pub mod minute;
pub mod redis;

pub use front::Front;
pub use instances::{Fleet, Timed, pair, percentile, served, served_each};
pub use redis::Redis;

/// The log's words when Redis is unavailable to an instance.
pub const REDIS_DOWN: &str = "this instance keeps to its share of the limits";
/// The log's words when Redis is available to it again.
pub const REDIS_UP: &str = "Redis is available again";
/// After this, instances have heard of each other from Redis, and each has its share also of the
/// minute in which they started.
pub const ACQUAINTED: Duration = Duration::from_millis(4500);

/// How often instances with these logs found Redis unavailable.
pub fn silences(logs: impl IntoIterator<Item = String>) -> usize {
    logs.into_iter().map(|log| log.matches(REDIS_DOWN).count()).sum()
}
