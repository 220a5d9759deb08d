//! Where each key path of a document stands.

use std::collections::BTreeMap;

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
}

/// The places of a document: a tree of its shape, because a key may contain a dot and
/// a path cannot say so.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(super) key: Option<Place>,
    pub(super) value: Option<Place>,
    pub(super) below: Below,
}

/// What stands below a place.
#[derive(Debug, Default)]
pub(super) enum Below {
    #[default]
    Nothing,
    List(Vec<Spans>),
    Mapping(BTreeMap<String, Spans>),
}

impl Spans {
    /// Where the key of `builder.type` stands; an item of a list has none.
    pub(crate) fn key(&self, path: &str) -> Option<Place> {
        self.find(path)?.key
    }

    /// Where the value of `builder.type` or `queues[1]` starts; for an alias, where it
    /// is used.
    pub(crate) fn value(&self, path: &str) -> Option<Place> {
        self.find(path)?.value
    }

    /// The place of the closest thing above a path that is not there.
    pub(crate) fn above(&self, path: &str) -> Option<Place> {
        let mut path = path;
        while let Some(cut) = path.rfind(['.', '[']) {
            path = &path[..cut];
            if let Some(found) = self.find(path) {
                return found.key.or(found.value);
            }
        }
        None
    }

    fn find(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        match &self.below {
            Below::Nothing => None,
            Below::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                items.get(index.parse::<usize>().ok()?)?.find(after(rest))
            }
            Below::Mapping(entries) => ends(path).find_map(|end| {
                let (key, rest) = path.split_at(end);
                entries.get(key)?.find(after(rest))
            }),
        }
    }
}

fn after(rest: &str) -> &str {
    rest.strip_prefix('.').unwrap_or(rest)
}

/// Where the first key of a path may end.
fn ends(path: &str) -> impl Iterator<Item = usize> {
    let inner = path.match_indices(['.', '[']).map(|(index, _)| index);
    inner.chain([path.len()])
}
