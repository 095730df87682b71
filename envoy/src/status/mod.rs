//! What a running balancer does, from its metrics: `reading` parses them, `figures` has what happened
//! between two readings, and `table` prints that.

mod exposition;
mod figures;
mod reading;
mod table;

pub(crate) use figures::Period;
pub(crate) use reading::Reading;
pub(crate) use table::table;
