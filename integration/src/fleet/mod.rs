//! Several instances that share their limits: `instances` asks them, `front` balances between them,
//! `redis` is a real one, and `minute` waits for the clock minute in which limits count.

mod front;
mod instances;
pub mod minute;
pub mod redis;

pub use front::Front;
pub use instances::{Fleet, Timed, pair, percentile, served, served_each};
pub use redis::Redis;
