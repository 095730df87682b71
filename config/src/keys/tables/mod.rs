//! Every key of a LiteLLM file, section by section. A test keeps docs/configuration.md equal to
//! these tables.

mod general_settings;
mod item;
mod litellm_params;
mod litellm_settings;
mod litellms_own;
mod llm_balancer;
mod model_info;
mod request_parameters;
mod router_settings;
mod top;

pub(crate) use general_settings::GENERAL_SETTINGS;
pub(crate) use item::ITEM;
pub(crate) use litellm_params::LITELLM_PARAMS;
pub(crate) use litellm_settings::LITELLM_SETTINGS;
pub(crate) use litellms_own::is_litellms_own_key;
pub use litellms_own::is_litellms_own_member;
pub(crate) use llm_balancer::{DEPLOYMENT_LLM_BALANCER, LLM_BALANCER};
pub(crate) use model_info::MODEL_INFO;
pub(crate) use request_parameters::{REQUEST_PARAMETERS, is_request_parameter};
pub(crate) use router_settings::ROUTER_SETTINGS;
pub(crate) use top::TOP;

use super::support::{Support, Table};

/// All sections, in the order in which a misplaced key is looked for.
pub(crate) const ALL: [&Table; 8] = [
    &TOP, &ITEM, &LITELLM_PARAMS, &MODEL_INFO, &ROUTER_SETTINGS, &LITELLM_SETTINGS, &GENERAL_SETTINGS,
    &LLM_BALANCER,
];

/// The section where a key that was found elsewhere would be applied.
pub(crate) fn home_of(name: &str, elsewhere: &str) -> Option<&'static str> {
    // A key of a deployment is closest to the rest of it.
    let near = (elsewhere == LITELLM_PARAMS.name).then_some(&MODEL_INFO);
    let homes =
        [&ROUTER_SETTINGS, &LITELLM_SETTINGS, &LITELLM_PARAMS, &GENERAL_SETTINGS, &LLM_BALANCER, &MODEL_INFO];
    let applies =
        |table: &&&Table| table.name != elsewhere && matches!(table.find(name), Some(Support::Applied(_)));
    let home = near.iter().chain(&homes).find(applies)?.name;
    // `max_tokens` is a parameter, and only shown in model_info.
    let is_parameter = home == MODEL_INFO.name && is_request_parameter(name);
    Some(if is_parameter { LITELLM_PARAMS.name } else { home })
}

/// The section of settings that has a key, applied or not.
pub(crate) fn settings_with(name: &str) -> Option<&'static str> {
    let settings = [&ROUTER_SETTINGS, &LITELLM_SETTINGS, &GENERAL_SETTINGS];
    settings.iter().find(|table| table.find(name).is_some()).map(|table| table.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sorted_so_that_it_can_be_searched() {
        for table in ALL {
            let names: Vec<_> = table.keys.iter().map(|key| key.name).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{}: {names:?}", table.name);
        }
    }
}
