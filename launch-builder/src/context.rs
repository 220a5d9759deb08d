//! Build contexts: which files, in which order, under which digest.
//!
//! A [`Context`] is a directory seen through its ignore rules. It can be hashed, packed into
//! an archive, or copied to another directory; each reads every file once and answers the
//! same digest. Two trees with the same digest make the same archive, byte for byte,
//! whatever their times, owners, umask and the order of their directories.
//!
//! ```
//! use launch_builder::context::{self, ContextOptions};
//! use launch_builder::event::Events;
//!
//! # let source = tempfile::tempdir()?;
//! # let source = source.path();
//! fs_err::write(source.join("train.py"), "print(1)\n")?;
//! fs_err::write(source.join(".dockerignore"), "*.log\n")?;
//! let options = ContextOptions::new();
//! let mut archive = Vec::new();
//! let packed = context::pack(source, &options, &mut archive, &Events::silent())?;
//! let hashed = context::hash(source, &options, &Events::silent())?;
//! assert_eq!(packed.digest, hashed.digest);
//!
//! let copy = tempfile::tempdir()?;
//! context::unpack(archive.as_slice(), copy.path())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The recipe
//!
//! The digest of a context is the SHA-256 of these bytes. Numbers are decimal, digests 64
//! lower-case hex digits, `SP` is a blank, `LF` a new line, `NUL` a zero byte.
//!
//! ```text
//! context = "launch-context 1" LF
//!           "rules" SP SHA-256(rules) LF
//!           record*                     in the order of the bytes of their paths
//! record  = kind SP mode SP size SP content SP path NUL
//! rules   = ( ["!"] pattern LF )*       the rules in force, built-in one first, cleaned
//! ```
//!
//! | kind | mode | size | content |
//! | --- | --- | --- | --- |
//! | `d`, a directory | `0755` | `0` | `-` |
//! | `f`, a file | `0755` if its owner may execute it, else `0644` | its bytes | SHA-256 of them |
//! | `l`, a symbolic link | `0777` | bytes of its target | SHA-256 of the target |
//!
//! A path is relative to the root, its components joined by `/`, as raw bytes. A path holds
//! no zero byte, so records cannot run into each other. The root has no record. Empty
//! directories count: a program may need one. Per file there is a digest of its own, so the
//! parts can be made in any order and kept from one time to the next.
//!
//! Left out, because they differ between two clones of one commit, or mean nothing in an
//! image: times, owner and group, all other mode bits (the umask's), extended attributes,
//! access lists, and that two names are one file (hard links are files). Sockets, fifos and
//! devices are skipped with [`Event::Skipped`](crate::event::Event::Skipped).
//!
//! The rules have a part in the digest of their own: a changed rule is a changed context,
//! even if it names no file that is there yet. A changed comment is none, unless the ignore
//! file itself is in the context.
//!
//! # Which files
//!
//! [`ContextOptions`] says where the rules come from; `.dockerignore` unless told otherwise.
//! They mean what they mean to `docker build`. A pattern is anchored at the root (`*.pyc` is
//! not `sub/x.pyc`, `**/*.pyc` is both) and covers all that is below what it matches; `!`
//! takes back; the last rule that matches wins; `**` is any number of directories; `[^a-c]`
//! is any other character; a backslash escapes. `#` begins a comment in the first column
//! alone. Blanks at the ends, a leading `/`, `./` and `a/..` are cleaned away. What is no
//! pattern is [`Error::Ignore`].
//!
//! One rule is built in, before all others: `**/.git`. A repository's history is rarely meant
//! to be in an image, and differs between two clones of one commit. `!.git` takes it back.
//!
//! Some corners, which are `BuildKit`'s:
//!
//! - A directory that is left out comes back if something below it does, and only then. (The
//!   old builder does not look below it for a `!` rule with wildcards.)
//! - A `!` rule is asked only of what the rules before it leave out: `a/b` then `!a` leaves
//!   `a/b` out, as `a` itself never was.
//! - Go's `regexp` reads the classes and escapes of a rule with wildcards: `\d` is any digit.
//!   What gets through to it unmeant (`|`, `{2}`, `\p`, `\Q`) is refused, not guessed at.
//!
//! Rules hold for the ignore file and the Dockerfile too. The `docker` program sends both to
//! the engine in any case, for the engine to read and then to hide from `COPY` if a rule
//! names them; here the rules alone decide, which is what `COPY` sees. Who needs an ignored
//! Dockerfile in the archive adds it with [`ContextOptions::with_file`].
//!
//! # The archive
//!
//! Version 2. ustar, entries in the order of the recipe, owner and group 0 and without names,
//! every time 1980-01-02 (zip, hence a Python wheel made from the files, begins in 1980), two
//! blocks of zeros at the end. The name of a directory ends with a slash.
//!
//! A name of more than 100 bytes is split at the first slash behind which no more than 100
//! are left, if up to 155 are before it. What does not fit stands in a pax header before the
//! entry (mode 0644, named `././@PaxHeader`), whose records are, in this order, as needed:
//! `hdrcharset=BINARY` if a name or target is not UTF-8, `path`, `linkpath` above 100 bytes,
//! `size` above octal 77777777777. The entry then has the last 100 bytes of its name, the
//! first 100 of its target, and a size of 0.
//!
//! It is cut into pieces, which are compressed each by itself, on as many threads as there
//! are; the bytes are the same for any number. Counting 512 bytes for the header of an entry,
//! then its content, filled up to 512:
//!
//! - A file of the tree of more than 1 MiB makes pieces of its own: its header and the first
//!   MiB, every further MiB, the rest with what fills it up.
//! - Other entries are gathered. A piece ends before an entry that would make it longer than
//!   1.5 MiB, and, once it has 512 KiB, before one whose path has a CRC-32 divisible by 16: so
//!   the cuts behind a change are where they were.
//! - The two blocks at the end are the last piece.
//!
//! [`Format::TarGz`] is a gzip member for every piece, with neither time nor name nor system;
//! [`Format::TarZst`] a Zstandard frame for every piece, with its checksum. What looks like
//! noise is stored. Both formats say that such parts one after the other are one file, and
//! GNU tar and gzip, busybox, Go (hence Docker, BuildKit, kaniko), Node and Python's `r:gz`
//! read them as one. Some readers stop after the first member unless they are told otherwise:
//! Python's `tarfile` in its streaming mode (`r|gz`), Perl's `gunzip`, flate2's `GzDecoder`.
//!
//! A piece knows nothing of the one before. To gzip, whose window is 32 KiB, that is nothing;
//! Zstandard looks back further, and its pieces are some 3% larger than one frame would be
//! (151.0 MB instead of 146.5 MB of a source tree of 571 MB).
//!
//! The bytes of gzip and Zstandard are those of the libraries (libdeflate, zstd) in the
//! versions that are compiled in. The digest depends on neither.
//!
//! # What it costs
//!
//! Every file is read once, by threads that share the tree; content waits in pieces of about
//! 1 MiB, a few for each thread, so memory does not grow with files. What grows is the list
//! of names, by some 200 bytes an entry, and twice that with a cache. Cancelling is asked for
//! between any two pieces.
//!
//! With [`ContextOptions::with_cache`] an unchanged file is not read again, and a piece of
//! unchanged files is not compressed again. A file counts as unchanged if its path, device,
//! inode, size, executable bit and times of modification and change (in nanoseconds) are
//! what they were, and those times were at least 2.1 seconds ago when it was read: a later
//! write then sets a later one, whatever the tick of the clock. A directory is not read again
//! under the same conditions. On network file systems, whose clocks are others, files and
//! directories are always read. What no times tell is a write through a memory map to a page
//! that was written to before; git and make do not see it either.
//!
//! ```
//! # use launch_builder::context::{self, ContextOptions, Format};
//! # use launch_builder::event::Events;
//! # let (source, cache) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! # fs_err::write(source.path().join("train.py"), "print(1)\n")?;
//! let options = ContextOptions::new().with_format(Format::TarZst).with_cache(cache.path());
//! let (mut first, mut again) = (Vec::new(), Vec::new());
//! context::pack(source.path(), &options, &mut first, &Events::silent())?;
//! context::pack(source.path(), &options, &mut again, &Events::silent())?;
//! assert_eq!(first, again);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod background;
mod blocks;
mod cancel;
mod cut;
mod encode;
mod entries;
mod ignore;
mod noise;
mod options;
mod order;
mod pass;
mod progress;
mod read;
mod recipe;
mod root;
mod scan;
mod seen;
mod spare;
mod stats;
mod tarball;
mod tree;
mod unpack;
mod view;

use std::io::Write;
use std::path::Path;

pub use self::background::{copy_async, hash_async, pack_async};
pub use self::options::{ContextOptions, Format};
pub use self::unpack::{Unpacked, unpack};
pub use self::view::{Context, ContextDigest, Packed};
use crate::error::Error;
use crate::event::Events;

/// The version of the archive's format: of where it is cut.
const ARCHIVE: u32 = 2;

/// The digest of the context at `root`. Blocks.
///
/// # Errors
/// As [`Context::scan`] and [`Context::hash`].
pub fn hash(
    root: &Path,
    options: &ContextOptions,
    events: &Events,
) -> Result<ContextDigest, Error> {
    Context::scan(root, options, events)?.hash(events)
}

/// Packs the context at `root` into `writer`. Blocks.
///
/// # Errors
/// As [`Context::scan`] and [`Context::pack`].
pub fn pack(
    root: &Path,
    options: &ContextOptions,
    writer: impl Write,
    events: &Events,
) -> Result<Packed, Error> {
    Ok(Context::scan(root, options, events)?
        .pack(writer, events)?
        .0)
}

/// Copies the context at `root` into a directory that is there. Blocks.
///
/// # Errors
/// As [`Context::scan`] and [`Context::copy`].
pub fn copy(
    root: &Path,
    options: &ContextOptions,
    directory: &Path,
    events: &Events,
) -> Result<ContextDigest, Error> {
    Context::scan(root, options, events)?.copy(directory, events)
}
