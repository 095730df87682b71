//! A load balancer in front of the instances, as simple as they come: in turn, and where no
//! connection can be made, the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::instances::Timed;
use crate::{Client, Reply};

/// In front of so many instances as there are clients.
#[derive(Debug)]
pub struct Front {
    clients: Mutex<Vec<Client>>,
    turn: AtomicUsize,
}

impl Front {
    /// In front of these.
    pub fn new(clients: Vec<Client>) -> Self {
        Self { clients: Mutex::new(clients), turn: AtomicUsize::new(0) }
    }

    /// An instance has moved.
    pub fn replace(&self, instance: usize, client: Client) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)[instance] = client;
    }

    /// Asks the next in turn, or the one after it: a request that could not even be sent may be
    /// sent elsewhere. Any other failure is the client's to see.
    pub async fn chat(&self, model: &str) -> Result<Timed, String> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (first, asked) = (self.turn.fetch_add(1, Ordering::Relaxed), Instant::now());
        let mut refusals = Vec::new();
        for step in 0..clients.len() {
            let instance = (first + step) % clients.len();
            match clients[instance].try_chat(model).await {
                Ok(Reply { complete: false, status, .. }) => {
                    return Err(format!("from instance {instance}: {status} and half a body"));
                }
                Ok(reply) => return Ok(Timed { reply, took: asked.elapsed(), instance }),
                Err(error) if error.is_connect() => refusals.push(format!("{error:?}")),
                Err(error) => return Err(format!("from instance {instance}: {error:?}")),
            }
        }
        Err(format!("no instance can be reached: {refusals:?}"))
    }
}
