//! How far each key of a section is supported.

use crate::diagnostics::ADVISES;

/// A known key.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// As LiteLLM spells it.
    pub(crate) name: &'static str,
    pub(crate) support: Support,
}

/// How far a key is supported.
#[derive(Clone, Copy)]
pub(crate) enum Support {
    /// It is applied. The words say what it does.
    Applied(Words),
    /// It has no effect: why, and what to do instead.
    Ignored(Words, Words),
    /// Ignoring it would change security, cost or results: why, and what to do instead.
    Refused(Words, Words),
}

/// Words for the documentation and for messages. The filter has no room for them: it warns of nothing,
/// and gets a file with a refused key only where that was edited after `render`.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    #[cfg(not(target_family = "wasm"))]
    text: &'static str,
}

impl Words {
    #[cfg_attr(target_family = "wasm", expect(unused_variables, reason = "the filter has no words"))]
    const fn new(text: &'static str) -> Self {
        Self {
            #[cfg(not(target_family = "wasm"))]
            text,
        }
    }

    /// Empty in the filter.
    #[cfg_attr(target_family = "wasm", expect(clippy::unused_self, reason = "the filter has no words"))]
    pub(crate) fn text(self) -> &'static str {
        #[cfg(not(target_family = "wasm"))]
        return self.text;
        #[cfg(target_family = "wasm")]
        return "";
    }
}

/// A key that is applied.
pub(crate) const fn applied(name: &'static str, what: &'static str) -> Key {
    Key { name, support: Support::Applied(Words::new(what)) }
}

/// A key that has no effect.
pub(crate) const fn ignored(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Ignored(Words::new(why), Words::new(advice)) }
}

/// A key that is neither supported nor ignored.
pub(crate) const fn refused(name: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key { name, support: Support::Refused(Words::new(why), Words::new(advice)) }
}

/// A key of a budget.
pub(crate) const fn budget(name: &'static str) -> Key {
    refused(name, "budgets are not supported", "set the budget at the provider, and remove the key")
}

/// The keys of a table: in the filter, which warns of nothing, without those that have no effect.
macro_rules! without_ignored {
    ($keys:expr) => {{
        use $crate::keys::support::{kept, kept_count};
        const KEPT: [Key; kept_count($keys)] = kept($keys);
        &KEPT
    }};
}
pub(crate) use without_ignored;

/// How many of the keys [`kept`] keeps.
pub(crate) const fn kept_count(mut keys: &[Key]) -> usize {
    let mut count = 0_usize;
    while let [key, others @ ..] = keys {
        count = count.saturating_add(if is_kept(key) { 1 } else { 0 });
        keys = others;
    }
    count
}

/// The keys that a table of this program has.
pub(crate) const fn kept<const COUNT: usize>(mut keys: &[Key]) -> [Key; COUNT] {
    let mut kept = [ignored("", "", ""); COUNT];
    let mut slots: &mut [Key] = &mut kept;
    while let [key, others @ ..] = keys {
        keys = others;
        if is_kept(key) {
            let Some((slot, more)) = slots.split_first_mut() else { break };
            *slot = *key;
            slots = more;
        }
    }
    kept
}

const fn is_kept(key: &Key) -> bool {
    ADVISES || !matches!(key.support, Support::Ignored(..))
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
