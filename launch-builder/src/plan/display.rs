//! A plan as a person reads it.

use std::fmt;

use super::{DockerfileOrigin, EntryPointOrigin, Plan, PythonOrigin, RequirementsKind};

impl fmt::Display for DockerfileOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(path) => write!(f, "{} (named by the spec)", path.display()),
            Self::BesideEntryPoint(path) => {
                write!(f, "{} (beside the entry point)", path.display())
            }
            Self::Generated => f.write_str("generated"),
        }
    }
}

impl fmt::Display for PythonOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spec => "spec",
            Self::VersionFile => ".python-version",
            Self::Pyproject => "requires-python of pyproject.toml",
            Self::Default => "default",
        })
    }
}

impl fmt::Display for EntryPointOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "given",
            Self::Job => "the job's",
            Self::Conventional => "its name says so",
            Self::OnlyScript => "the only script",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<12} {value}");
        row("source", self.source.clone())?;
        if let Some(revision) = &self.revision {
            row("revision", revision.clone())?;
        }
        row("context", self.context.display().to_string())?;
        row("dockerfile", self.dockerfile.origin.to_string())?;
        for base in &self.bases {
            row("base image", base.reference.clone())?;
        }
        if let Some(python) = &self.python {
            row("python", format!("{} ({})", python.version, python.origin))?;
        }
        if let Some(requirements) = &self.requirements {
            let list = match requirements.kind {
                RequirementsKind::File | RequirementsKind::Frozen => "",
                RequirementsKind::Pyproject => " ([project] dependencies)",
            };
            row("packages", format!("{}{list}", requirements.file.display()))?;
        }
        match &self.entry_point {
            Some(entry) => row(
                "entry point",
                format!("{:?} ({})", entry.command, entry.origin),
            )?,
            None => row("entry point", "the image's own".to_owned())?,
        }
        if let Some(work_dir) = &self.work_dir {
            row("work dir", work_dir.clone())?;
        }
        if let Some(id) = self.user_id {
            row("user", id.to_string())?;
        }
        if let Some(platform) = &self.platform {
            row("platform", platform.clone())?;
        }
        self.notes
            .iter()
            .try_for_each(|note| row("note", note.clone()))
    }
}
