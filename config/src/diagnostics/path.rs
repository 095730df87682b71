//! The path of a key, such as `model_list[0].litellm_params.model`.

use std::fmt;

/// The path of a value. Written out only for a finding.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// The document itself, which is not written.
    Document,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The document itself.
    pub(crate) const DOCUMENT: Path<'static> = Path { parent: None, step: Step::Document };

    /// A key of the document.
    pub(crate) const fn top(key: &'a str) -> Self {
        Self { parent: None, step: Step::Key(key) }
    }

    /// A key of the map at this path.
    pub(crate) const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of the list at this path, from 0.
    pub(crate) const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// The key at the end of the path.
    pub(crate) fn last_key(&self) -> Option<&'a str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Document | Step::Index(_) => None,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.filter(|parent| !matches!(parent.step, Step::Document));
        if let Some(parent) = parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Document => Ok(()),
            Step::Key(key) if parent.is_some() => write!(f, ".{}", shown(key)),
            Step::Key(key) => f.write_str(shown(key)),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A key as it stands in a path, where an empty one would not be seen.
pub(crate) fn shown(key: &str) -> &str {
    if key.is_empty() { "''" } else { key }
}
