//! How far each key of a section is supported.

use crate::diagnostics::ADVISES;

/// A known key.
pub(crate) struct Key {
    /// As LiteLLM spells it.
    pub(crate) name: &'static str,
    pub(crate) support: Support,
}

/// How far a key is supported.
#[derive(Clone, Copy)]
pub(crate) enum Support {
    /// It is applied. The text says what it does.
    Applied(&'static str),
    /// It has no effect: why, and what to do instead.
    Ignored(&'static str, &'static str),
    /// Ignoring it would change security, cost or results: why, and what to do instead.
    Refused(&'static str, &'static str),
}

/// A text for documentation and warnings, empty in the filter, which prints neither.
const fn text(text: &'static str) -> &'static str {
    if ADVISES { text } else { "" }
}

/// Why a key is refused. The filter gets such a file only where it was edited after `render`.
const fn reason(why: &'static str) -> &'static str {
    if ADVISES { why } else { "unsupported; llm-balancer check says why" }
}

/// A key that is applied.
pub(crate) const fn applied(name: &'static str, what: &'static str) -> Key {
    Key { name, support: Support::Applied(text(what)) }
}

/// A key that has no effect.
pub(crate) const fn ignored(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Ignored(text(why), text(advice)) }
}

/// A key that is neither supported nor ignored.
pub(crate) const fn refused(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Refused(reason(why), text(advice)) }
}

/// A key of a budget.
pub(crate) const fn budget(name: &'static str) -> Key {
    refused(name, "budgets are not supported", "set the budget at the provider, and remove the key")
}

/// The keys of one section.
pub(crate) struct Table {
    /// The name of the section.
    pub(crate) name: &'static str,
    /// Sorted by name.
    pub(crate) keys: &'static [Key],
    /// Whether unknown keys are allowed.
    pub(crate) open: bool,
}

impl Table {
    /// How far a key is supported; `None` if it is unknown.
    pub(crate) fn find(&self, name: &str) -> Option<Support> {
        let found = self.keys.binary_search_by(|key| key.name.cmp(name)).ok()?;
        self.keys.get(found).map(|key| key.support)
    }

    /// The names of the keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().map(|key| key.name)
    }
}
