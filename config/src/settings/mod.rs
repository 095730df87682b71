//! `router_settings`, `litellm_settings`, `general_settings` and `llm_balancer`.

pub mod failure_policy;
pub mod fallbacks;
pub mod router;
pub mod routing_groups;
pub mod server;
pub mod strategy;
