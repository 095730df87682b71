//! What a running balancer does, from its metrics: `scrape` parses them, `figures` has what happened
//! between two scrapes, and `table` prints that.

mod exposition;
mod figures;
mod scrape;
mod table;

pub(crate) use figures::Period;
pub(crate) use scrape::Scrape;
pub(crate) use table::table;
