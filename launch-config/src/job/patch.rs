//! Patches: what was not committed when a job was made from a repository.
//!
//! Reads what `git diff` writes and applies it as `patch -p1` does, but strictly: a hunk may
//! have moved, its lines may not have changed. The caller reads and writes the files; no
//! path of a patch leads out of its directory.

use std::ops::Range;

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// It is not written as `git diff` writes.
    #[error("line {line} of the patch is malformed")]
    Malformed {
        /// The line, from 1.
        line: usize,
    },
    /// It would write outside its directory.
    #[error("the patch names `{0}`, which is no path below the job's directory")]
    Path(String),
    /// The file has other lines than the patch was made from.
    #[error("hunk {hunk} of the patch does not apply to `{path}`")]
    Mismatch {
        /// The file.
        path: String,
        /// The hunk, from 1.
        hunk: usize,
    },
    /// A file it changes is not there, or one it makes is there already.
    #[error("the patch expects `{path}` {expected}")]
    File {
        /// The file.
        path: String,
        /// How it should be.
        expected: &'static str,
    },
}

/// The changes to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePatch {
    old: Option<String>,
    new: Option<String>,
    hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hunk {
    /// Where it was made, from 0.
    start: usize,
    /// Lines with their ends.
    old: Vec<String>,
    new: Vec<String>,
}

impl FilePatch {
    /// The file it changes, `None` if it makes one.
    pub fn old(&self) -> Option<&str> {
        self.old.as_deref()
    }

    /// The file there is afterwards, `None` if it is removed.
    pub fn new_path(&self) -> Option<&str> {
        self.new.as_deref()
    }

    /// The file's text afterwards; `None` if it is removed.
    ///
    /// # Errors
    /// [`PatchError::File`] if it is not there (`None`) and should be, or the reverse;
    /// [`PatchError::Mismatch`] if it has other lines.
    pub fn apply(&self, text: Option<&str>) -> Result<Option<String>, PatchError> {
        let text = match (self.old(), text) {
            (Some(_), Some(text)) => text,
            (None, None) => "",
            (Some(path), None) => return Err(file(path, "to be there")),
            (None, Some(_)) => {
                let path = self.new.as_deref().unwrap_or_default();
                return Err(file(path, "not to be there"));
            }
        };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (mut out, mut done) = (String::with_capacity(text.len()), 0);
        for (index, hunk) in self.hunks.iter().enumerate() {
            let place = hunk
                .place(&lines, done)
                .ok_or_else(|| self.mismatch(index))?;
            out.extend(lines[done..place.start].iter().copied());
            out.extend(hunk.new.iter().map(String::as_str));
            done = place.end;
        }
        out.extend(lines[done..].iter().copied());
        Ok(self.new.is_some().then_some(out))
    }

    fn mismatch(&self, index: usize) -> PatchError {
        let path = self.old.as_ref().or(self.new.as_ref());
        PatchError::Mismatch {
            path: path.cloned().unwrap_or_default(),
            hunk: index + 1,
        }
    }
}

fn file(path: &str, expected: &'static str) -> PatchError {
    PatchError::File {
        path: path.to_owned(),
        expected,
    }
}

impl Hunk {
    /// The lines it replaces, as near as possible to where it was made.
    fn place(&self, lines: &[&str], done: usize) -> Option<Range<usize>> {
        let fits = |at: &usize| {
            let range = lines.get(*at..at + self.old.len());
            *at >= done && range.is_some_and(|range| range.iter().eq(self.old.iter()))
        };
        let start = self.start.min(lines.len());
        let below = (start..=lines.len()).find(fits);
        let above = (done..start).rev().find(fits);
        let at = match (below, above) {
            (Some(below), Some(above)) if start - above < below - start => above,
            (below, above) => below.or(above)?,
        };
        Some(at..at + self.old.len())
    }
}

/// Reads a patch. Text between the changes of files is skipped, binary changes too, as
/// `patch` does.
///
/// ```
/// let text = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-print(1)\n+print(2)\n";
/// let files = launch_config::job::patch::parse(text)?;
/// assert_eq!(files[0].old(), Some("train.py"));
/// assert_eq!(files[0].apply(Some("print(1)\n"))?.unwrap(), "print(2)\n");
/// # Ok::<(), launch_config::job::patch::PatchError>(())
/// ```
///
/// # Errors
/// [`PatchError::Malformed`] and [`PatchError::Path`].
pub fn parse(text: &str) -> Result<Vec<FilePatch>, PatchError> {
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    let mut files: Vec<FilePatch> = Vec::new();
    while let Some((index, line)) = lines.next() {
        let malformed = || PatchError::Malformed { line: index + 1 };
        let bare = line.trim_end_matches(['\n', '\r']);
        if let Some(name) = bare.strip_prefix("rename from ") {
            let old = Some(below(name)?);
            let next = lines
                .next()
                .map(|(_, line)| line.trim_end_matches(['\n', '\r']));
            let name = next.and_then(|line| line.strip_prefix("rename to "));
            let new = Some(below(name.ok_or_else(malformed)?)?);
            let hunks = Vec::new();
            files.push(FilePatch { old, new, hunks });
        } else if let Some(name) = bare.strip_prefix("--- ") {
            if let Some((_, next)) = lines.next_if(|(_, next)| next.starts_with("+++ ")) {
                let file = named(name, &next["+++ ".len()..])?;
                // A rename was told already.
                if files.last() != Some(&file) {
                    files.push(file);
                }
            }
        } else if bare.starts_with("@@ -") {
            let file = files.last_mut().ok_or_else(malformed)?;
            let hunk = hunk(bare, &mut lines).ok_or_else(malformed)?;
            file.hunks.push(hunk);
        }
    }
    Ok(files)
}

/// The file of a header's two lines.
fn named(old: &str, new: &str) -> Result<FilePatch, PatchError> {
    Ok(FilePatch {
        old: side(old)?,
        new: side(new.trim_end_matches(['\n', '\r']))?,
        hunks: Vec::new(),
    })
}

/// A file of a header, without its first component; `None` for `/dev/null`.
fn side(name: &str) -> Result<Option<String>, PatchError> {
    let name = name.split('\t').next().unwrap_or_default();
    if name == "/dev/null" {
        return Ok(None);
    }
    let (_, path) = name
        .split_once('/')
        .ok_or_else(|| PatchError::Path(name.to_owned()))?;
    below(path).map(Some)
}

fn below(path: &str) -> Result<String, PatchError> {
    let odd = |part: &str| matches!(part, "" | "." | ".." | ".git");
    if path.split('/').any(odd) || path.contains(['\\', '\0', '"']) {
        return Err(PatchError::Path(path.to_owned()));
    }
    Ok(path.to_owned())
}

/// `@@ -start,count +start,count @@` and the lines that belong to it.
fn hunk<'a>(
    header: &str,
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Option<Hunk> {
    let mut ranges = header.strip_prefix("@@ -")?.split(' ');
    let (start, mut removed) = range(ranges.next()?)?;
    let (_, mut added) = range(ranges.next()?.strip_prefix('+')?)?;
    // An empty range stands after its line, any other one on it.
    let mut hunk = Hunk {
        start: if removed == 0 {
            start
        } else {
            start.saturating_sub(1)
        },
        ..Hunk::default()
    };
    while removed > 0 || added > 0 {
        let (mark, text) = marked(lines)?;
        if matches!(mark, " " | "-") {
            removed = removed.checked_sub(1)?;
            hunk.old.push(text.to_owned());
        }
        if matches!(mark, " " | "+") {
            added = added.checked_sub(1)?;
            hunk.new.push(text.to_owned());
        }
        if !matches!(mark, " " | "-" | "+") {
            return None;
        }
    }
    Some(hunk)
}

/// The next line of a hunk: its mark, and its text with its end.
fn marked<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Option<(&'a str, &'a str)> {
    let (_, line) = lines.next()?;
    let (mark, text) = match line.split_at_checked(1)? {
        // An editor took the blank of an empty line away.
        ("\n", _) => (" ", line),
        parts => parts,
    };
    let ended = lines.next_if(|(_, next)| next.starts_with('\\')).is_some();
    Some((
        mark,
        if ended {
            text.trim_end_matches('\n')
        } else {
            text
        },
    ))
}

/// `start,count`, or `start` for one line.
fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(patch: &str, text: Option<&str>) -> Result<Option<String>, PatchError> {
        let files = parse(patch)?;
        files[0].apply(text)
    }

    const CHANGE: &str = "--- a/f\n+++ b/f\n@@ -2,2 +2,3 @@ def\n b\n-c\n+C\n+d\n";

    #[test]
    fn a_hunk_applies_where_its_lines_are() {
        assert_eq!(
            apply(CHANGE, Some("a\nb\nc\n")).unwrap().unwrap(),
            "a\nb\nC\nd\n"
        );
        let moved = "x\ny\nz\na\nb\nc\ne\n";
        assert_eq!(
            apply(CHANGE, Some(moved)).unwrap().unwrap(),
            "x\ny\nz\na\nb\nC\nd\ne\n"
        );
        let error = apply(CHANGE, Some("a\nB\nc\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "hunk 1 of the patch does not apply to `f`"
        );
    }

    #[test]
    fn files_come_go_and_are_renamed() {
        let made = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n";
        assert_eq!(apply(made, None).unwrap().unwrap(), "x");
        assert!(apply(made, Some("")).is_err());
        let gone = "--- a/o\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
        assert_eq!(apply(gone, Some("x\n")).unwrap(), None);
        let renamed = "rename from o\nrename to n\n--- a/o\n+++ b/n\n@@ -1 +1 @@\n-x\n+y\n";
        let files = parse(renamed).unwrap();
        assert_eq!((files.len(), files[0].new_path()), (1, Some("n")));
        assert_eq!(files[0].apply(Some("x\n")).unwrap().unwrap(), "y\n");
    }

    #[test]
    fn no_path_leads_out() {
        for path in ["../x", "a/../../x", "/etc/x", ".git/config", "a//b"] {
            let patch = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n");
            assert!(matches!(parse(&patch), Err(PatchError::Path(_))), "{path}");
        }
        assert!(matches!(
            parse("@@ -1 +1 @@\n"),
            Err(PatchError::Malformed { line: 1 })
        ));
        let huge = "--- a/f\n+++ b/f\n@@ -1,99999999999999999999 +1 @@\n-x\n";
        assert!(matches!(
            parse(huge),
            Err(PatchError::Malformed { line: 3 })
        ));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([-+ @a-z0-9,]{0,8}\n){0,8}", file in "([ab]\n){0,6}") {
            for text in [text.clone(), format!("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n{text}")] {
                for patch in parse(&text).into_iter().flatten() {
                    let _ = patch.apply(Some(&file));
                    let _ = patch.apply(None);
                }
            }
        }
    }
}
