//! `context`: the builder crate's contexts by hand.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use launch_builder::context::{self, ContextOptions, Format};
use launch_builder::event::{Event, Events};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;

/// Hash or pack a build context.
#[derive(Debug, Subcommand)]
pub(crate) enum Context {
    /// Print the digest of a context
    Hash(Directory),
    /// Pack a context into an archive, the same bytes every time
    Pack {
        #[command(flatten)]
        directory: Directory,
        /// The archive
        #[arg(short = 'o', long, value_name = "FILE")]
        out: PathBuf,
        /// Its form [default: by its name, else tar.gz]
        #[arg(long, value_enum)]
        format: Option<Form>,
        /// The gzip level, 0 to 9
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=9))]
        level: u32,
    },
}

/// Which context.
#[derive(Debug, Args)]
pub(crate) struct Directory {
    /// The directory
    #[arg(value_name = "DIR")]
    root: PathBuf,
    /// The file with the ignore rules [default: DIR/.dockerignore]
    #[arg(long, value_name = "FILE")]
    ignore_file: Option<PathBuf>,
}

/// The form of an archive.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    Tar,
    #[value(name = "tar.gz")]
    TarGz,
}

impl Context {
    pub(crate) async fn run(self, printer: &Printer) -> Result<Exit, Failure> {
        let talk = printer.clone();
        let events = Events::new(move |event| {
            if let Event::Skipped(path) = event {
                talk.warn(&format!("`{path}` is no file: left out"));
            }
        });
        match self {
            Self::Hash(directory) => {
                let options = directory.options();
                let hashed = context::hash_async(directory.root, options, events)
                    .await
                    .map_err(usage)?;
                let answer =
                    json!({"digest": hashed.digest, "files": hashed.files, "bytes": hashed.bytes});
                printer.answer(&answer, || hashed.digest.to_string())?;
            }
            Self::Pack {
                directory,
                out,
                format,
                level,
            } => {
                let form = format.unwrap_or_else(|| form_of(&out));
                let options = directory.options().with_format(match form {
                    Form::Tar => Format::Tar,
                    Form::TarGz => Format::TarGz,
                });
                pack(directory, options.with_level(level), out, events, printer).await?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Directory {
    fn options(&self) -> ContextOptions {
        match &self.ignore_file {
            Some(file) => ContextOptions::new().with_ignore_file(file),
            None => ContextOptions::new(),
        }
    }
}

fn form_of(out: &std::path::Path) -> Form {
    if out.extension().is_some_and(|extension| extension == "tar") {
        Form::Tar
    } else {
        Form::TarGz
    }
}

/// The archive appears under its name when it is whole.
async fn pack(
    directory: Directory,
    options: ContextOptions,
    out: PathBuf,
    events: Events,
    printer: &Printer,
) -> Result<(), Failure> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| std::path::Path::new("."));
    let file = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(parent)?;
    let writer = file.as_file().try_clone()?;
    let (packed, _) = context::pack_async(directory.root, options, writer, events)
        .await
        .map_err(usage)?;
    file.persist(&out).map_err(|error| {
        Failure::doing(format!("cannot write `{}`", out.display()), &error.error)
    })?;
    let answer = json!({
        "digest": packed.digest, "files": packed.files, "bytes": packed.bytes,
        "archive": out, "archive_bytes": packed.archive_bytes,
    });
    printer.answer(&answer, || packed.digest.to_string())
}

fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// What is wrong with a directory or its rules is the caller's to mend.
fn usage(error: launch_builder::Error) -> Failure {
    let is_users = !matches!(error, launch_builder::Error::Io(_));
    let failure = Failure::from(error);
    if is_users { failure.by_user() } else { failure }
}
