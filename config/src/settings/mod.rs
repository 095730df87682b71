//! `router_settings`, `litellm_settings`, `general_settings` and `llm_balancer`.

mod affinity;
mod aliases;
mod failure_policy;
mod fallbacks;
mod llm_balancer;
mod router;
mod routing_groups;
mod server;
mod strategy;

pub(crate) use affinity::read_affinity;
pub(crate) use aliases::read_aliases;
pub(crate) use failure_policy::{ALLOWED_FAILS, RETRIES, read_failure_policy};
pub(crate) use llm_balancer::{LlmBalancerSettings, read_llm_balancer};
pub(crate) use router::read_router;
pub(crate) use routing_groups::ROUTING_GROUPS;
pub(crate) use server::read_server;
pub(crate) use strategy::{ROUTING_STRATEGY, ROUTING_STRATEGY_ARGS};
