//! From the parser's events to a tree, within the limits.
//!
//! Every node knows how large it is with its aliases expanded, so an alias bomb is
//! refused where it is written, before anything is expanded.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::scalar::Tag;
use super::{MAX_DEPTH, MAX_NODES, MAX_TEXT, Place, hinted, problem};
use crate::load::Problem;

/// A node where it is used: an alias shares the node and has a place of its own.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) node: Rc<Node>,
}

/// A node where it is written.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tag: Option<Tag>,
    pub(super) content: Content,
    extent: Extent,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar { text: String, plain: bool },
    List(Vec<Item>),
    Mapping(Vec<(Item, Item)>),
}

/// How large a node is, aliases expanded.
#[derive(Debug, Clone, Copy)]
struct Extent {
    depth: usize,
    nodes: usize,
    text: usize,
}

/// The one document of a text; `None` if the text is empty.
pub(super) fn document(text: &str) -> Result<Option<Item>, Problem> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        lines: text,
        tabs: tab_lines(text),
        tabbed: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    composer.document()
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines: &'a str,
    /// Lines with a tab in the indentation, and the column where that ends.
    tabs: HashMap<usize, usize>,
    /// Nodes behind such an indentation, unless brackets are around them: there, a tab
    /// is a blank like any other.
    tabbed: Vec<Place>,
    anchors: HashMap<usize, Item>,
    /// Nodes so far, so that the tree itself stays small.
    nodes: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(problem(None, "the text ends too early")),
        }
    }

    fn document(&mut self) -> Result<Option<Item>, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => return Err(second_document(span)),
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.item(event, span, 0)?);
                }
                _ => {}
            }
        }
        match self
            .tabbed
            .first()
            .and_then(|place| self.tab_at(*place, false))
        {
            Some(tab) => Err(tab_problem(tab)),
            None => Ok(root),
        }
    }

    /// A node and all below it, `level` collections down.
    fn item(&mut self, event: Event<'a>, span: Span, level: usize) -> Result<Item, Problem> {
        let place = place_of(span.start);
        self.note_tab(&event, place);
        let (content, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place, level),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(place, level)?;
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                (Content::Scalar { text, plain }, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                self.count(place, level + 1)?;
                (self.list(level)?, anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                self.count(place, level + 1)?;
                (self.mapping(level)?, anchor, tag)
            }
            _ => return Err(problem(Some(place), "expected a value")),
        };
        let tag = tag.map_or(Ok(None), |tag| read_tag(&tag, place))?;
        self.finish(content, tag, anchor, place, level)
    }

    /// Makes the node, and keeps it for aliases if it has an anchor.
    fn finish(
        &mut self,
        content: Content,
        tag: Option<Tag>,
        anchor: usize,
        place: Place,
        level: usize,
    ) -> Result<Item, Problem> {
        let extent = Extent::of(&content);
        check(place, extent.below(level))?;
        let node = Rc::new(Node {
            tag,
            content,
            extent,
        });
        let item = Item { place, node };
        if anchor > 0 {
            self.anchors.insert(anchor, item.clone());
        }
        Ok(item)
    }

    /// Bounds the tree while it grows, before its extent is known.
    fn count(&mut self, place: Place, depth: usize) -> Result<(), Problem> {
        self.nodes += 1;
        let (nodes, text) = (self.nodes, 0);
        check(place, Extent { depth, nodes, text })
    }

    fn alias(&mut self, anchor: usize, place: Place, level: usize) -> Result<Item, Problem> {
        self.count(place, level)?;
        let Some(item) = self.anchors.get(&anchor) else {
            let message = "the alias stands inside what it refers to";
            return Err(problem(Some(place), message));
        };
        check(place, item.node.extent.below(level))?;
        let node = Rc::clone(&item.node);
        Ok(Item { place, node })
    }

    fn list(&mut self, level: usize) -> Result<Content, Problem> {
        let tabbed = self.tabbed.len();
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    self.close(span, tabbed);
                    return Ok(Content::List(items));
                }
                (event, span) => items.push(self.item(event, span, level + 1)?),
            }
        }
    }

    fn mapping(&mut self, level: usize) -> Result<Content, Problem> {
        let tabbed = self.tabbed.len();
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                self.close(span, tabbed);
                return Ok(Content::Mapping(entries));
            }
            let key = self.item(event, span, level + 1)?;
            let (event, span) = self.next()?;
            entries.push((key, self.item(event, span, level + 1)?));
        }
    }

    fn note_tab(&mut self, event: &Event<'_>, place: Place) {
        // The place of a `|` block is its first line, where tabs are text.
        let block = matches!(
            event,
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..)
        );
        if !block && self.tabs.get(&place.line) == Some(&place.column) {
            self.tabbed.push(place);
        }
    }

    /// A bracket, which has an extent, forgives the tabs since it was opened.
    fn close(&mut self, span: Span, tabbed: usize) {
        if !span.is_empty() {
            self.tabbed.truncate(tabbed);
        }
    }

    /// What the parser says, or that a tab is in the way, which it says in many words.
    fn syntax(&self, error: &ScanError) -> Problem {
        let place = place_of(*error.marker());
        if let Some(tab) = self.tab_at(place, error.info().contains("tab")) {
            return tab_problem(tab);
        }
        let info = error.info().trim_end_matches('.');
        let known = PLAINER.iter().find(|(theirs, ..)| info.contains(theirs));
        match known {
            Some((_, message, hint)) => hinted(problem(Some(place), *message), *hint),
            None => problem(Some(place), info),
        }
    }

    /// The first tab in the indentation of the line; of a later line, where the parser
    /// complains of a tab and shows the start of the scalar it is in.
    fn tab_at(&self, place: Place, later: bool) -> Option<Place> {
        let lines = self.lines.lines().enumerate().skip(place.line - 1);
        lines
            .take(if later { usize::MAX } else { 1 })
            .find_map(|(index, line)| {
                let indentation = &line[..line.len() - line.trim_start().len()];
                let column = indentation.find('\t')? + 1;
                let line = index + 1;
                Some(Place { line, column })
            })
    }
}

/// What the parser says of the commonest mistakes, what we say, and what to do.
const PLAINER: &[(&str, &str, &str)] = &[
    (
        "unknown anchor",
        "the alias refers to no anchor above it",
        "put a text that starts with `*` in quotes",
    ),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can",
        "put a text that has `: ` in it in quotes",
    ),
    (
        "illegal placement of ':'",
        "a `:` stands where no key can",
        "a bracket above may not be closed",
    ),
    (
        "while scanning an anchor or alias",
        "an anchor or an alias has no name",
        "put a text that starts with `*` or `&` in quotes",
    ),
    (
        "simple key expect ':'",
        "the key before this has no `:`",
        "write `key: value`, the value indented if it starts below",
    ),
    (
        "did not find expected key",
        "the indentation fits no mapping above",
        "keys of one mapping start in the same column",
    ),
    (
        "unexpected character",
        "a text cannot start with this character",
        "put the text in quotes",
    ),
    (
        "trailing content after",
        "something follows the closing quote",
        "inside single quotes, a quote is written twice",
    ),
];

fn tab_problem(tab: Place) -> Problem {
    let message = "a tab stands in the indentation, where YAML takes blanks only";
    hinted(problem(Some(tab), message), "replace the tab with blanks")
}

fn tab_lines(text: &str) -> HashMap<usize, usize> {
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line[..indentation].contains('\t');
        tab.then_some((index + 1, indentation + 1))
    });
    lines.collect()
}

fn place_of(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn second_document(span: Span) -> Problem {
    let message = "a second document starts here; a configuration has one";
    let hint = "remove the `---`, or put the documents into files of their own";
    hinted(problem(Some(place_of(span.start)), message), hint)
}

fn check(place: Place, extent: Extent) -> Result<(), Problem> {
    let message = if extent.depth > MAX_DEPTH {
        format!("mappings and lists are nested more than {MAX_DEPTH} deep")
    } else if extent.nodes > MAX_NODES {
        format!("the document has more than {MAX_NODES} values, aliases expanded")
    } else if extent.text > MAX_TEXT {
        format!("the texts have more than {MAX_TEXT} bytes, aliases expanded")
    } else {
        return Ok(());
    };
    Err(problem(Some(place), message))
}

impl Extent {
    const SCALAR: Self = Self {
        depth: 0,
        nodes: 1,
        text: 0,
    };

    fn of(content: &Content) -> Self {
        match content {
            Content::Scalar { text, .. } => Self {
                text: text.len(),
                ..Self::SCALAR
            },
            Content::List(items) => Self::around(items.iter()),
            Content::Mapping(entries) => {
                Self::around(entries.iter().flat_map(|(key, value)| [key, value]))
            }
        }
    }

    fn around<'a>(items: impl Iterator<Item = &'a Item>) -> Self {
        let start = Self {
            depth: 1,
            ..Self::SCALAR
        };
        items
            .map(|item| item.node.extent)
            .fold(start, |sum, item| Self {
                depth: sum.depth.max(item.depth + 1),
                nodes: sum.nodes.saturating_add(item.nodes),
                text: sum.text.saturating_add(item.text),
            })
    }

    /// The same, so many levels down.
    fn below(self, levels: usize) -> Self {
        let depth = self.depth + levels;
        Self { depth, ..self }
    }
}

/// The tag of a node: `!!str` and its like; `!` alone means nothing, as in `PyYAML`.
fn read_tag(tag: &saphyr_parser::Tag, place: Place) -> Result<Option<Tag>, Problem> {
    let whole = format!("{}{}", tag.handle, tag.suffix);
    Ok(Some(match whole.strip_prefix("tag:yaml.org,2002:") {
        Some("str") => Tag::Str,
        Some("int") => Tag::Int,
        Some("float") => Tag::Float,
        Some("bool") => Tag::Bool,
        Some("null") => Tag::Null,
        Some("map") => Tag::Map,
        Some("seq") => Tag::Seq,
        Some(other) => return Err(unknown_tag(&format!("!!{other}"), place)),
        None if whole == "!" => return Ok(None),
        None => return Err(unknown_tag(&whole, place)),
    }))
}

fn unknown_tag(tag: &str, place: Place) -> Problem {
    let shown: String = tag.chars().take(40).collect();
    let message = format!("unknown tag `{shown}`");
    let hint =
        "configuration has `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!map`, `!!seq`";
    hinted(problem(Some(place), message), hint)
}
