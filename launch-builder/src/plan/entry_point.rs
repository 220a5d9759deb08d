//! What a job runs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::confine;
use crate::error::Error;

/// Scripts that need no naming, the most wanted first.
const CONVENTIONAL: [&str; 2] = ["main.py", "train.py"];

/// A command, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntryPoint {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The script among them, as it is written there.
    pub script: Option<PathBuf>,
    /// How it was found.
    pub origin: EntryPointOrigin,
    /// The interpreter is not of the words that were given.
    #[serde(skip)]
    is_bare: bool,
}

/// A directory that may hold a Dockerfile for a command, and the command as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) entry: EntryPoint,
}

/// How an entry point was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EntryPointOrigin {
    /// Somebody gave it.
    Override,
    /// The job was recorded with it.
    Job,
    /// A script of the source is called `main.py` or `train.py`.
    Conventional,
    /// The source has one script at its top.
    OnlyScript,
}

impl EntryPoint {
    /// The command somebody gave. A bare script gets its interpreter.
    pub(super) fn given(words: &[String]) -> Self {
        let script = words.get(script_index(words)).map(PathBuf::from);
        let interpreter = words.first().map_or(&[][..], |first| interpreter(first));
        let command = interpreter
            .iter()
            .map(|word| (*word).to_owned())
            .chain(words.to_vec());
        Self {
            command: command.collect(),
            script,
            origin: EntryPointOrigin::Override,
            is_bare: !interpreter.is_empty(),
        }
    }

    /// The command a job was recorded with.
    pub(super) fn of_job(words: &[String]) -> Self {
        Self {
            origin: EntryPointOrigin::Job,
            ..Self::given(words)
        }
    }

    fn found(script: &str, origin: EntryPointOrigin) -> Self {
        Self {
            origin,
            ..Self::given(&[script.to_owned()])
        }
    }

    /// What the source's own scripts say: `main.py`, `train.py`, or the only one.
    pub(super) fn find(root: &Path) -> Result<Self, Error> {
        let scripts = scripts(root)?;
        if let Some(name) = CONVENTIONAL
            .iter()
            .find(|name| scripts.iter().any(|s| s == *name))
        {
            return Ok(Self::found(name, EntryPointOrigin::Conventional));
        }
        match scripts.as_slice() {
            [only] => Ok(Self::found(only, EntryPointOrigin::OnlyScript)),
            [] => Err(Error::Plan(format!(
                "no entry point: `{}` has no `main.py`, no `train.py` and no other `*.py`; \
                 name the command with `-E`",
                root.display()
            ))),
            several => Err(Error::Plan(format!(
                "no entry point: `{}` has no `main.py` and no `train.py`, but {} scripts \
                 (`{}`); name one with `-E`",
                root.display(),
                several.len(),
                several
                    .iter()
                    .take(5)
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join("`, `")
            ))),
        }
    }

    /// Checks that the script is a file of the source; an absolute one is the image's own.
    pub(super) fn check(&self, root: &Path) -> Result<(), Error> {
        let script = self.script.as_ref().filter(|script| script.is_relative());
        let Some(script) = script else {
            return Ok(());
        };
        let real = confine::inside(root, script, "entry point")?;
        let why = "is not a file";
        let refusal = || Error::Path {
            what: "entry point",
            path: script.clone(),
            why,
        };
        real.is_file().then_some(()).ok_or_else(refusal)
    }

    /// Where a Dockerfile for this command may be, the most wanted first: beside the last
    /// word, where the Python agent looks, then beside the script.
    pub(super) fn places(&self) -> Vec<Place> {
        let last = self.command.last().map(String::as_str).unwrap_or_default();
        let script = self.script.as_deref().and_then(Path::to_str);
        let beside_last = directory(last).map(|directory| Place {
            directory: directory.into(),
            entry: self.moved(last, directory.is_empty() || !self.is_simple()),
        });
        let beside_script = script.and_then(|script| {
            let directory = directory(script)?;
            Some(Place {
                directory: directory.into(),
                entry: self.moved(script, directory.is_empty()),
            })
        });
        let mut places: Vec<_> = beside_last.into_iter().chain(beside_script).collect();
        places.dedup_by(|second, first| first.directory == second.directory);
        places
    }

    /// An interpreter and its script, the only command whose script the Python agent moves.
    fn is_simple(&self) -> bool {
        let starts_python = |word: &String| word.starts_with("python") || word == "bash";
        self.is_bare || self.command.len() == 2 && self.command.first().is_some_and(starts_python)
    }

    /// The same command, run where `word` of it lies.
    fn moved(&self, word: &str, stays: bool) -> Self {
        let mut moved = self.clone();
        if stays {
            return moved;
        }
        let name = word.rsplit('/').next().unwrap_or_default();
        if let Some(own) = moved.command.iter_mut().find(|own| *own == word) {
            name.clone_into(own);
        }
        if self.script.as_deref() == Some(Path::new(word)) {
            moved.script = Some(name.into());
        }
        moved
    }
}

/// What is before the name in a relative path; `None` for an absolute one, which is no
/// place in a source.
fn directory(word: &str) -> Option<&str> {
    let directory = word.rsplit_once('/').map_or("", |(directory, _)| directory);
    (!word.starts_with('/')).then(|| directory.trim_end_matches('/'))
}

/// The interpreter a bare script needs: python unbuffered, or its log would come at its end.
fn interpreter(script: &str) -> &'static [&'static str] {
    match extension(script) {
        Some("py") => &["python", "-u"],
        Some("sh") => &["bash"],
        _ => &[],
    }
}

fn extension(word: &str) -> Option<&str> {
    Path::new(word)
        .extension()
        .and_then(|extension| extension.to_str())
}

/// Where the script is in a command: first, or after an interpreter and its options. An
/// option that takes code or a module (`-c`, `-m`) means that there is none.
fn script_index(words: &[String]) -> usize {
    let is_script = |word: &String| matches!(extension(word), Some("py" | "sh"));
    let program = words
        .first()
        .and_then(|first| Path::new(first).file_name()?.to_str());
    let interprets =
        program.is_some_and(|name| name.starts_with("python") || matches!(name, "bash" | "sh"));
    if !interprets || words.first().is_some_and(is_script) {
        return words
            .first()
            .filter(|first| is_script(first))
            .map_or(usize::MAX, |_| 0);
    }
    let rest = words.iter().enumerate().skip(1);
    let mut operands = rest.skip_while(|(_, word)| {
        word.starts_with('-') && !matches!(word.as_str(), "-c" | "-m" | "-")
    });
    operands
        .next()
        .filter(|(_, word)| is_script(word))
        .map_or(usize::MAX, |(at, _)| at)
}

/// The names of the python files at the top of the source, sorted.
fn scripts(root: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| extension(name) == Some("py")) else {
            continue;
        };
        if confine::inside(root, Path::new(name), "script").is_ok_and(|real| real.is_file()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_bare_script_gets_its_interpreter() {
        for (given, command, script) in [
            (
                "train.py --lr 1",
                "python -u train.py --lr 1",
                Some("train.py"),
            ),
            ("run.sh", "bash run.sh", Some("run.sh")),
            ("python a/b.py x.py", "python a/b.py x.py", Some("a/b.py")),
            (
                "/usr/bin/python3 -u b.py",
                "/usr/bin/python3 -u b.py",
                Some("b.py"),
            ),
            ("python -m train.py", "python -m train.py", None),
            ("bash -c train.sh", "bash -c train.sh", None),
            ("torchrun train.py", "torchrun train.py", None),
            ("./tool", "./tool", None),
        ] {
            let entry = EntryPoint::given(&words(given));
            assert_eq!(entry.command, words(command));
            assert_eq!(entry.script.as_deref(), script.map(Path::new), "{given}");
        }
    }

    fn project(files: &[&str]) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        for file in files {
            fs_err::write(scratch.path().join(file), "").unwrap();
        }
        scratch
    }

    #[test]
    fn a_source_says_what_it_runs() {
        let found = |files: &[&str]| {
            let scratch = project(files);
            EntryPoint::find(scratch.path()).map(|entry| entry.script.unwrap())
        };
        assert_eq!(
            found(&["train.py", "main.py", "a.py"]).unwrap(),
            Path::new("main.py")
        );
        assert_eq!(found(&["train.py", "a.py"]).unwrap(), Path::new("train.py"));
        assert_eq!(found(&["only.py", "x.txt"]).unwrap(), Path::new("only.py"));
        let error = found(&["a.py", "b.py"]).unwrap_err().to_string();
        assert!(
            error.contains("2 scripts (`a.py`, `b.py`)") && error.contains("-E"),
            "{error}"
        );
        let error = found(&["x.txt"]).unwrap_err().to_string();
        assert!(error.contains("no `main.py`"), "{error}");
    }

    #[test]
    fn a_script_is_a_file_of_the_source() {
        let scratch = project(&["train.py"]);
        let root = scratch.path().canonicalize().unwrap();
        let check = |command: &str| EntryPoint::given(&words(command)).check(&root);
        check("python ./train.py").unwrap();
        check("python -m train").unwrap();
        check("python /opt/train.py").unwrap();
        for command in ["python other.py", "python ../train.py"] {
            assert!(check(command).is_err(), "{command}");
        }
    }

    #[test]
    fn a_command_moves_to_its_script() {
        for (given, directories, command) in [
            ("python a/t.py", "a", "python t.py"),
            ("bash a/b/t.sh", "a/b", "bash t.sh"),
            ("python3.10 a/t.py", "a", "python3.10 t.py"),
            ("a/t.py", "a", "python -u t.py"),
            ("a/run", "a", "a/run"),
            // What the Python agent leaves as it is, its users have made work.
            ("python -u a/t.py", "a", "python -u a/t.py"),
            ("python a/t.py c/x.yaml", "c a", "python a/t.py c/x.yaml"),
            ("python a/t.py --x", " a", "python a/t.py --x"),
            ("python t.py", "", "python t.py"),
            ("python -m a.b", "", "python -m a.b"),
            ("python a/t.py b/", "b a", "python a/t.py b/"),
        ] {
            let places = EntryPoint::given(&words(given)).places();
            let found: Vec<_> = places
                .iter()
                .map(|place| place.directory.to_str().unwrap())
                .collect();
            assert_eq!(found.join(" "), directories, "{given}");
            assert_eq!(places[0].entry.command, words(command), "{given}");
        }
        let places = EntryPoint::given(&words("python a/t.py --data a/t.py --x")).places();
        assert_eq!(
            places[1].entry.command,
            words("python t.py --data a/t.py --x")
        );
        assert!(
            EntryPoint::given(&words("python /opt/t.py"))
                .places()
                .is_empty()
        );
    }
}
