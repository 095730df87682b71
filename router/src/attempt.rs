//! One send to one deployment, and the journey of a request over several of them.

use std::sync::Arc;
use std::time::Duration;

use crate::group::Pool;
use crate::outcome::Failure;
use crate::request::Asked;

/// What a request has been through before its next attempt. Deployments are known by id, so that a journey
/// survives a reload of the configuration between two attempts.
#[derive(Clone, Debug, Default)]
pub struct Journey {
    /// Deployments that were tried, in order, repeated ones included.
    pub tried: Vec<Arc<str>>,
    /// Those among them that will not change their mind: a wrong key, a model that is not allowed.
    pub useless: Vec<Arc<str>>,
    /// Retries so far, the one that is about to start included.
    pub retries: u32,
    /// Retries that the request has, as x-litellm-max-retries shows them.
    pub max_retries: u32,
    /// Set where the journey is over, but the client could not be told in the attempt that ended it.
    pub over: Option<(Failure, Duration)>,
}

/// One send to one deployment. Judged exactly once, so [`judge`](crate::Router::judge) takes it by value and the
/// compiler refuses a second time.
#[derive(Debug)]
pub struct Attempt {
    /// Index of the deployment in the configuration.
    pub deployment: usize,
    /// The model as the client named it.
    pub model: String,
    /// Who could have served it.
    pub pool: Arc<Pool>,
    /// What the client asked of the router.
    pub asked: Asked,
    /// How long this attempt may take; between bytes, if the answer is streamed.
    pub limit: Duration,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// What came before.
    pub journey: Journey,
}
