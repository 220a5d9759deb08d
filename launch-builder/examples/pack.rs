//! Hashes a directory and packs it, with nothing but this crate.
//!
//! ```text
//! cargo run -p launch-builder --example pack -- DIRECTORY [ARCHIVE.tar.gz]
//! ```

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use launch_builder::context::{self, ContextOptions};
use launch_builder::event::{Event, Events};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let directory = arguments
        .next()
        .ok_or("usage: pack DIRECTORY [ARCHIVE.tar.gz]")?;
    let events = Events::new(|event| {
        if let Event::Skipped(entry) = event {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(std::io::stderr(), "left out: {entry}");
        }
    });
    let mut out = std::io::stdout().lock();
    let options = ContextOptions::new().with_archive_digest();
    let Some(archive) = arguments.next() else {
        let context = context::hash(&directory, &options, &events)?;
        writeln!(
            out,
            "{} ({} files, {} bytes)",
            context.digest, context.files, context.bytes
        )?;
        return Ok(());
    };
    let packed = context::pack(
        &directory,
        &options,
        fs_err::File::create(&archive)?,
        &events,
    )?;
    writeln!(out, "context {}", packed.digest)?;
    writeln!(out, "files   {} ({} bytes)", packed.files, packed.bytes)?;
    writeln!(
        out,
        "archive {} ({} bytes)",
        archive.display(),
        packed.archive_bytes
    )?;
    if let Some(digest) = packed.archive_digest {
        writeln!(out, "        {digest}")?;
    }
    Ok(())
}
