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
}

/// How an entry point was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EntryPointOrigin {
    /// Somebody gave it.
    Override,
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

    /// Checks that the script is a file of the source.
    pub(super) fn check(&self, root: &Path) -> Result<(), Error> {
        let Some(script) = &self.script else {
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

    /// The directory the script is in, below the project; empty for the project itself.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.script.as_deref().and_then(Path::parent)
    }

    /// The same command, run where the script lies.
    pub(super) fn beside_script(mut self) -> Self {
        let name = self
            .script
            .as_deref()
            .and_then(Path::file_name)
            .map(PathBuf::from);
        if let (Some(script), Some(name)) = (&self.script, name) {
            let (old, new) = (script.to_string_lossy(), name.to_string_lossy());
            if let Some(word) = self.command.iter_mut().find(|word| **word == old) {
                *word = new.into_owned();
            }
            self.script = Some(name);
        }
        self
    }
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
        for command in ["python other.py", "python ../train.py", "python /train.py"] {
            assert!(check(command).is_err(), "{command}");
        }
    }

    #[test]
    fn a_command_moves_to_its_script() {
        let entry = EntryPoint::given(&words("python a/b/t.py --data a/b/t.py")).beside_script();
        assert_eq!(entry.command, words("python t.py --data a/b/t.py"));
    }
}
