//! What `tests/bench/run` measures: one pass over a directory, told by arguments.
//!
//! ```text
//! cargo run --release -p launch-builder --no-default-features --example measure -- \
//!     DIRECTORY [ARCHIVE] [--level N] [--cache DIRECTORY] [--threads N]
//! ```

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use launch_builder::context::{self, ContextOptions, Format};
use launch_builder::event::Events;

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = ContextOptions::new();
    let mut paths = Vec::new();
    let mut arguments = std::env::args();
    arguments.next();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("an option without a value");
        options = match argument.as_str() {
            "--level" => options.with_level(value()?.parse()?),
            "--cache" => options.with_cache(value()?),
            "--threads" => options.with_threads(value()?.parse()?),
            _ => {
                paths.push(PathBuf::from(argument));
                options
            }
        };
    }
    let digest = match paths.as_slice() {
        [root] => context::hash(root, &options, &Events::silent())?.digest,
        [root, archive] => {
            let options = options.with_format(form_of(archive));
            let file: File = fs_err::File::create(archive)?.into_parts().0;
            context::pack(root, &options, file, &Events::silent())?.digest
        }
        _ => return Err("usage: measure DIRECTORY [ARCHIVE] [OPTION VALUE]...".into()),
    };
    writeln!(std::io::stdout(), "{digest}")?;
    Ok(())
}

fn form_of(archive: &std::path::Path) -> Format {
    match archive.extension().and_then(std::ffi::OsStr::to_str) {
        Some("tar") => Format::Tar,
        Some("zst") => Format::TarZst,
        _ => Format::TarGz,
    }
}
