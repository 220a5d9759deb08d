//! `context`: the builder crate's contexts by hand.

use std::num::NonZeroUsize;
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
        /// How hard to compress: gzip 0 to 9, zstd 1 to 19 [default: 6, 3]
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=19))]
        level: Option<u32>,
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
    /// Remember in this directory what was read and compressed
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Work on so many threads [default: one for each processor, up to 8]
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
}

/// The form of an archive.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    Tar,
    #[value(name = "tar.gz")]
    TarGz,
    #[value(name = "tar.zst")]
    TarZst,
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
                let mut options = directory.options().with_format(match form {
                    Form::Tar => Format::Tar,
                    Form::TarGz => Format::TarGz,
                    Form::TarZst => Format::TarZst,
                });
                if let Some(level) = level {
                    options = options.with_level(level);
                }
                pack(directory, options, out, events, printer).await?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Directory {
    fn options(&self) -> ContextOptions {
        let mut options = ContextOptions::new();
        if let Some(file) = &self.ignore_file {
            options = options.with_ignore_file(file);
        }
        if let Some(cache) = &self.cache {
            options = options.with_cache(cache);
        }
        if let Some(threads) = self.threads {
            options = options.with_threads(threads);
        }
        options
    }
}

fn form_of(out: &std::path::Path) -> Form {
    match out.extension().and_then(std::ffi::OsStr::to_str) {
        Some("tar") => Form::Tar,
        Some("zst" | "tzst") => Form::TarZst,
        _ => Form::TarGz,
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
