//! From what directories hold to entries in their order.
//!
//! The order of the bytes of paths is not quite that of directories: `a-b` stands between the
//! directory `a` and what it holds, `a/x`. So what is below a directory has a place of its own
//! among its neighbours, as if it were called `a/`; then each directory is sorted by itself.

use super::super::entries::{Entries, Kind};

/// What a directory holds that is in the context, or may be.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The directory it is in; its own for the root.
    above: usize,
    names: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    from: usize,
    to: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Entry(Kind),
    /// A directory that is left out, but comes back with anything below it.
    Out(usize),
    /// All that is below a directory.
    Below(usize),
}

impl Held {
    pub(super) fn new(above: usize) -> Self {
        Self {
            above,
            ..Self::default()
        }
    }

    /// Adds an entry that is no directory to look into.
    pub(super) fn add(&mut self, name: &[u8], kind: Kind) {
        let from = self.names.len();
        self.names.extend_from_slice(name);
        self.item(from, self.names.len(), What::Entry(kind));
    }

    /// Adds a directory to look into.
    pub(super) fn add_directory(&mut self, name: &[u8], number: usize, is_out: bool) {
        let from = self.names.len();
        self.names.extend_from_slice(name);
        let to = self.names.len();
        self.names.push(b'/');
        let what = if is_out {
            What::Out(number)
        } else {
            What::Entry(Kind::Directory)
        };
        self.item(from, to, what);
        self.item(from, to + 1, What::Below(number));
    }

    /// Sorts what was added.
    pub(super) fn sort(&mut self) {
        let Self { names, items, .. } = self;
        let name = |item: &Item| &names[item.from..item.to];
        items.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    }

    fn item(&mut self, from: usize, to: usize, what: What) {
        self.items.push(Item { from, to, what });
    }

    fn has_entries(&self) -> bool {
        let is_entry = |item: &Item| matches!(item.what, What::Entry(_));
        self.items.iter().any(is_entry)
    }
}

/// All entries, from what every directory holds, by its number; the root's is 0.
pub(super) fn in_order(mut held: Vec<Held>) -> Entries {
    let holds = holding(&held);
    let mut entries = Entries::with_capacity(held.iter().map(|held| held.items.len()).sum());
    let mut path = Vec::new();
    let mut open = vec![Open::new(&mut held, 0, 0)];
    while let Some(top) = open.last_mut() {
        path.truncate(top.length);
        let Some(Item { from, to, what }) = top.items.next() else {
            open.pop();
            continue;
        };
        path.extend_from_slice(&top.names[from..to]);
        match what {
            What::Entry(kind) => entries.push(&path, kind),
            What::Out(number) if holds[number] => entries.push(&path, Kind::Directory),
            What::Out(_) => {}
            What::Below(number) => open.push(Open::new(&mut held, number, path.len())),
        }
    }
    entries
}

/// Which directories have an entry somewhere below them.
fn holding(held: &[Held]) -> Vec<bool> {
    let mut holds = vec![false; held.len()];
    for (number, one) in held.iter().enumerate() {
        let mut number = number;
        while one.has_entries() && !std::mem::replace(&mut holds[number], true) {
            number = held[number].above;
        }
    }
    holds
}

/// A directory on the way to the one whose entries are taken.
struct Open {
    /// Of its path, with the slash.
    length: usize,
    names: Vec<u8>,
    items: std::vec::IntoIter<Item>,
}

impl Open {
    fn new(held: &mut [Held], number: usize, length: usize) -> Self {
        let Held { names, items, .. } =
            held.get_mut(number).map(std::mem::take).unwrap_or_default();
        let items = items.into_iter();
        Self {
            length,
            names,
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Paths as a walk finds them, files at their ends; a directory is out if its name says so.
    fn walked(files: &BTreeSet<Vec<&str>>) -> Vec<Held> {
        let mut held = vec![Held::new(0)];
        let mut numbers = BTreeMap::from([(Vec::new(), 0)]);
        for file in files {
            for length in 1..file.len() {
                let (above, path) = (numbers[&file[..length - 1]], file[..length].to_vec());
                numbers.entry(path).or_insert_with(|| {
                    let (number, name) = (held.len(), file[length - 1]);
                    held[above].add_directory(name.as_bytes(), number, name.contains('o'));
                    held.push(Held::new(above));
                    number
                });
            }
            let (name, above) = file.split_last().unwrap();
            if *name != "none" {
                held[numbers[above]].add(name.as_bytes(), Kind::Link);
            }
        }
        held.iter_mut().for_each(Held::sort);
        held
    }

    /// The same, made by sorting whole paths.
    fn sorted(files: &BTreeSet<Vec<&str>>) -> BTreeSet<Vec<u8>> {
        let mut paths = BTreeSet::new();
        for file in files {
            let is_there = file.last() != Some(&"none");
            for length in 1..file.len() {
                let below = |name: &&str| !name.contains('o');
                if is_there || file[length - 1..file.len() - 1].iter().any(below) {
                    paths.insert(file[..length].join("/").into_bytes());
                }
            }
            if is_there {
                paths.insert(file.join("/").into_bytes());
            }
        }
        paths
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_whole_paths(
            files in prop::collection::btree_set(
                prop::collection::vec(
                    prop::sample::select(vec!["a", "a-", "a.b", "a0", "ao", "-", "é", "o", "~"]),
                    0..4,
                ),
                0..12,
            ),
            none in prop::collection::vec(any::<bool>(), 12),
        ) {
            let end = |(mut file, is_none): (Vec<&'static str>, bool)| {
                // No name is both of a file and of a directory.
                file.push(if is_none { "none" } else { "file" });
                file
            };
            let files: BTreeSet<_> = files.into_iter().zip(none).map(end).collect();
            let entries = in_order(walked(&files));
            let paths: Vec<_> = entries.iter().map(|(path, _)| path.to_vec()).collect();
            prop_assert_eq!(paths, sorted(&files).into_iter().collect::<Vec<_>>());
        }
    }
}
