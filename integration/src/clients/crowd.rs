//! Many clients at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

/// The answers of all these clients. Each asks anew as soon as it is answered, as long as `goes_on`
/// says so.
pub async fn crowd<C, A>(
    clients: impl IntoIterator<Item = C>,
    goes_on: impl Fn() -> bool + Clone + Send + 'static,
    ask: impl Fn(C) -> A + Clone + Send + 'static,
) -> Vec<A::Output>
where
    C: Clone + Send + 'static,
    A: Future<Output: Send + 'static> + Send,
{
    let mut crowd = JoinSet::new();
    for client in clients {
        let (goes_on, ask) = (goes_on.clone(), ask.clone());
        crowd.spawn(async move {
            let mut answers = Vec::new();
            while goes_on() {
                answers.push(ask(client.clone()).await);
            }
            answers
        });
    }
    crowd.join_all().await.into_iter().flatten().collect()
}

/// Says yes so many times in all.
pub fn times(count: usize) -> impl Fn() -> bool + Clone + Send + 'static {
    let left = Arc::new(AtomicUsize::new(count));
    move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
