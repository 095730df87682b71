//! One send to one deployment, and the state of a request over several of them.

mod log;
mod retry_state;

use std::sync::Arc;
use std::time::Duration;

use crate::failure::AttemptError;
use crate::models::pool::Pool;
use crate::request::overrides::RequestOverrides;
use crate::request::reference_scan::ReferenceScan;
use crate::request::references::Reference;
use crate::request::routing_params::RoutingParams;
use crate::request::token_estimate::TokenEstimate;
use crate::state::deployment_states::Ticket;

pub(crate) use log::serialize_some;
pub use log::{AffinityInfo, AttemptLog, AttemptResult, SelectionInfo};
pub use retry_state::{LeaseRequests, Origin, RequestedModel, Resend, RetryState};

/// What a request refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Referral {
    /// Nothing that a single deployment has made.
    #[default]
    None,
    /// It continues a response, or has encrypted reasoning.
    Continuation,
    /// It is about this stored response, which it may delete.
    Stored {
        /// The response's id.
        id: String,
        /// The same, as it is remembered.
        response: Reference,
        /// Whether the request deletes it.
        deletes: bool,
    },
}

/// A usage event at the end of a stream that the router asks for, and the client does not.
#[derive(Clone, Copy, Debug)]
pub struct InjectedUsage {
    /// Whether the file wants it in the answer. Otherwise it is removed from it.
    pub is_for_client: bool,
    /// Whether the router added `stream_options` as a whole, and not a member of it.
    pub adds_options: bool,
}

/// One send to one deployment. It is settled exactly once: every callback that settles it takes it
/// by value.
#[derive(Debug)]
pub struct Attempt {
    /// Index of the deployment in the configuration.
    pub deployment: usize,
    /// The model that the client requested, or the fallback that took its place.
    pub model: String,
    /// The deployments that could have served the request.
    pub pool: Arc<Pool>,
    /// The route, as providers spell it: `/chat/completions`.
    pub route: &'static str,
    /// Retries and timeouts that the client requested.
    pub overrides: RequestOverrides,
    /// Fallbacks, tags and other routing parameters of the request.
    pub routing: RoutingParams,
    /// How long this attempt may take; of a stream, how long the gap between two chunks may be.
    pub timeout: Duration,
    /// Whether the client has set the timeout.
    pub is_client_timeout: bool,
    /// The tokens that the request is expected to take.
    pub estimate: TokenEstimate,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The stream's usage event, where the router asks for it and the client does not.
    pub injected_usage: Option<InjectedUsage>,
    /// What the request refers to that some deployments alone can serve.
    pub referral: Referral,
    /// Finds in the answer what later requests may refer to. The filter takes it.
    pub reference_scan: Option<Box<ReferenceScan>>,
    /// The admission of the request at the deployment.
    pub ticket: Ticket,
    /// The error in a response that had begun.
    pub response_error: Option<AttemptError>,
    /// Envoy's detail of a connection that failed, or where a redirect leads.
    pub detail: Option<String>,
    /// Whether the connection is older than the request, and ended before an answer began.
    pub is_on_reused_connection: bool,
    /// The state of the request before this attempt.
    pub retry_state: RetryState,
}
