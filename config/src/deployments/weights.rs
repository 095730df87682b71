//! `weight: 0`, which keeps requests away only beside a positive weight.

use std::collections::BTreeSet;

use super::model_list::{PATH, group_of};
use crate::config::Deployment;
use crate::diagnostics::ADVISES;
use crate::values::Reader;
use crate::yaml::{self, Entry, Node, Value};

/// Warns of deployments of weight 0 in groups without a positive weight, and without rpm or tpm,
/// which are weights then. LiteLLM takes a missing weight for 0, and a sum of 0 for no weights at all.
pub(super) fn warn_of_zeros(reader: &mut Reader<'_>, items: &[Node], deployments: &[Deployment]) {
    if !ADVISES {
        return;
    }
    let groups = |is: fn(&Deployment) -> bool| -> BTreeSet<&str> {
        deployments.iter().filter(|it| is(it)).map(|it| &*it.group).collect()
    };
    let zeros = groups(|it| it.weight == Some(0.0));
    let weighted =
        groups(|it| it.weight.is_some_and(|weight| weight > 0.0) || it.rpm.is_some() || it.tpm.is_some());
    for (index, item) in items.iter().enumerate() {
        let is_affected = |group: &&str| zeros.contains(group) && !weighted.contains(group);
        let entry = weight_of(item).filter(|entry| is_zero(&entry.node.value));
        if let (Some(entry), Some(_)) = (entry, group_of(item).filter(is_affected)) {
            let item = PATH.index(index);
            let params = item.key("litellm_params");
            let message =
                "0 keeps no requests away: no deployment of the group has a positive weight, as in LiteLLM";
            let advice = "give another deployment of the group a positive weight, or remove this one";
            reader.report.warn(entry.place, &params.key("weight"), message, advice);
        }
    }
}

fn weight_of(item: &Node) -> Option<&Entry> {
    let params = yaml::find(item.entries()?, "litellm_params")?;
    yaml::find(params.node.entries()?, "weight")
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Int(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::Text(text) => text.trim().parse() == Ok(0.0),
        _ => false,
    }
}
