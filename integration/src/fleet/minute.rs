//! The clock minute, in which limits count: how much of it is left, and waiting for its turn.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

const MINUTE: u64 = 60_000;

/// What is left of this minute (UTC).
pub fn left() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Duration::from_millis(MINUTE - u64::try_from(now.as_millis()).unwrap_or_default() % MINUTE)
}

/// Returns when so much of a minute is left: at once, or in the next one.
pub async fn with_room_for(time: Duration) {
    if left() < time {
        turn().await;
    }
}

/// Waits until a minute has just begun.
pub async fn turn() {
    sleep(left() + Duration::from_millis(50)).await;
}
