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
//! Version 2. ustar, with pax headers for what does not fit; entries in the order of the
//! recipe, owner and group 0, every time 1980-01-02 (zip, hence a Python wheel made from the
//! files, begins in 1980), two blocks of zeros at the end.
//!
//! It is cut into pieces, which are compressed each by itself, on as many threads as there
//! are; the bytes are the same for any number. Counting 512 bytes for the header of an entry,
//! then its content, filled up to 512:
//!
//! - A file of more than 1 MiB makes pieces of its own: its header and the first MiB, every
//!   further MiB, the rest with what fills it up.
//! - Other entries are gathered. A piece ends before an entry that would make it longer than
//!   1.5 MiB, and, once it has 512 KiB, before one whose path has a CRC-32 divisible by 16: so
//!   the cuts behind a change are where they were.
//! - The two blocks at the end are the last piece.
//!
//! [`Format::TarGz`] is one gzip member with neither time nor name nor system: the pieces,
//! each DEFLATE blocks up to a whole byte, then an empty last block. [`Format::TarZst`] is a
//! Zstandard frame for every piece, with its checksum. What looks like noise is stored.
//!
//! The bytes of gzip are this crate's own: a version of the crate that makes other ones says
//! so. Those of Zstandard are the library's, of the version that is compiled in. The digest
//! depends on neither.
//!
//! # What it costs
//!
//! Every file is read once, by threads that share the tree; content waits in pieces of about
//! 1 MiB, a few for each thread, so memory does not grow with files. What grows is the list
//! of names, by some 150 bytes an entry. Cancelling is asked for between any two pieces.
//!
//! With [`ContextOptions::with_cache`] an unchanged file is not read again, and a piece of
//! unchanged files is not compressed again. A file counts as unchanged if its path, device,
//! inode, size, executable bit and times of modification and change (in nanoseconds) are
//! what they were, and those times were at least 2.1 seconds ago when it was read: a later
//! write then sets a later one, whatever the tick of the clock. On network file systems,
//! whose clocks are others, files are always read. What no times tell is a write through a
//! memory map to a page that was written to before; git and make do not see it either.
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
mod blocks;
mod cancel;
mod crc;
mod cut;
mod deflate;
mod encode;
mod ignore;
mod options;
mod order;
mod pass;
mod progress;
mod read;
mod recipe;
mod root;
mod scan;
mod seen;
mod stats;
mod tarball;
mod tree;
mod unpack;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;

use launch_config::image::Digest;

use self::archive::Archive;
use self::blocks::Blocks;
use self::cancel::{Cancel, on_thread};
use self::ignore::Rules;
pub use self::options::{ContextOptions, Format};
use self::pass::{Outcome, Pass};
use self::progress::Progress;
use self::recipe::Recipe;
use self::root::Root;
use self::scan::Entries;
use self::stats::Known;
use self::tree::Tree;
pub use self::unpack::{Unpacked, unpack};
use crate::error::Error;
use crate::event::Events;

/// A directory seen through its ignore rules, walked and not yet read.
///
/// The walk holds the names of the entries and nothing of their content; memory does not
/// grow with the size of files. All methods block.
#[derive(Debug)]
pub struct Context {
    root: Root,
    rules: Rules,
    entries: Entries,
    options: ContextOptions,
    cancel: Cancel,
}

/// What a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextDigest {
    /// The digest of the recipe.
    pub digest: Digest,
    /// Files and links, without directories.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// A packed context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// The digest of the recipe, not of the archive.
    pub digest: Digest,
    /// Files and links, without directories.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The digest of the archive, if [`ContextOptions::with_archive_digest`] asked for it.
    pub archive_digest: Option<Digest>,
}

impl Context {
    /// Reads the rules and walks the tree.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::Ignore`] for a rule that is no pattern,
    /// [`Error::Path`] for an ignore file outside the source, [`Error::Read`].
    pub fn scan(root: &Path, options: &ContextOptions, events: &Events) -> Result<Self, Error> {
        Self::scan_until(root, options, events, Cancel::default())
    }

    fn scan_until(
        path: &Path,
        options: &ContextOptions,
        events: &Events,
        cancel: Cancel,
    ) -> Result<Self, Error> {
        let mut root = scan::open_root(path)?;
        let rules = options.rules(path)?;
        let entries = scan::scan(&mut root, &rules, options, events, &cancel)?;
        Ok(Self {
            root,
            rules,
            entries,
            options: options.clone(),
            cancel,
        })
    }

    /// Its entries, directories included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is left of the tree.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads every file and answers the digest.
    ///
    /// # Errors
    /// [`Error::Changed`] for a file that changes meanwhile, [`Error::Read`].
    pub fn hash(self, events: &Events) -> Result<ContextDigest, Error> {
        Ok(self.run(events, |pass, _| Ok((pass.run(None)?, ())))?.0)
    }

    /// Reads every file into an archive, and answers its digest with the writer.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::Io`] if the writer fails. What is written is no archive
    /// then.
    pub fn pack<W: Write>(self, writer: W, events: &Events) -> Result<(Packed, W), Error> {
        let mut writer = writer;
        let (compression, is_hashed) = (self.options.compression(), self.options.archive_digest);
        let (context, written) = self.run(events, |pass, blocks| {
            let archive = Archive {
                compression,
                blocks,
                is_hashed,
            };
            archive::pack(pass, archive, &mut writer)
        })?;
        let packed = Packed {
            digest: context.digest,
            files: context.files,
            bytes: context.bytes,
            archive_bytes: written.bytes,
            archive_digest: written.digest,
        };
        Ok((packed, writer))
    }

    /// Copies the context into a directory that is there, with the modes of the recipe.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::NotADirectory`], [`Error::Write`], and
    /// [`Error::Archive`] for an entry that is there already.
    pub fn copy(self, directory: &Path, events: &Events) -> Result<ContextDigest, Error> {
        let tree = Tree::new(directory)?;
        Ok(self
            .run(events, |pass, _| Ok((pass.run(Some(&tree))?, ())))?
            .0)
    }

    /// One pass: `read` reads, the rest is the same for all.
    fn run<T>(
        self,
        events: &Events,
        read: impl FnOnce(Pass<'_>, Option<&Blocks>) -> Result<(Outcome, T), Error>,
    ) -> Result<(ContextDigest, T), Error> {
        let cache = self.options.cache.as_deref();
        let known = cache.map_or_else(Known::default, |cache| Known::load(cache, &self.root));
        let blocks = cache.map(Blocks::new);
        let progress = Progress::new(events);
        let pass = Pass {
            root: &self.root,
            entries: &self.entries,
            cancel: &self.cancel,
            progress: &progress,
            known: &known,
            threads: self
                .options
                .threads
                .map_or_else(order::threads_here, NonZeroUsize::get),
        };
        let (outcome, answer) = read(pass, blocks.as_ref())?;
        progress.end();
        known.save(&self.entries, &outcome.learned);
        if let Some(blocks) = &blocks {
            blocks.prune();
        }
        let mut recipe = Recipe::new(self.rules.digest());
        for ((path, _), found) in self.entries.iter().zip(&outcome.found) {
            recipe.add(path, found);
        }
        let (files, bytes) = outcome.totals();
        let digest = recipe.finish();
        Ok((
            ContextDigest {
                digest,
                files,
                bytes,
            },
            answer,
        ))
    }
}

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

/// [`hash`] on a thread for blocking work; dropping the future ends it.
///
/// # Errors
/// As [`hash`].
pub async fn hash_async(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    events: Events,
) -> Result<ContextDigest, Error> {
    on_thread(move |cancel| {
        Context::scan_until(root.as_ref(), &options, &events, cancel)?.hash(&events)
    })
    .await
}

/// [`pack`] on a thread for blocking work, which hands the writer back; dropping the future
/// ends it before the next piece is written.
///
/// # Errors
/// As [`pack`].
pub async fn pack_async<W: Write + Send + 'static>(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    writer: W,
    events: Events,
) -> Result<(Packed, W), Error> {
    on_thread(move |cancel| {
        Context::scan_until(root.as_ref(), &options, &events, cancel)?.pack(writer, &events)
    })
    .await
}

/// [`copy`] on a thread for blocking work; dropping the future ends it.
///
/// # Errors
/// As [`copy`].
pub async fn copy_async(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    directory: impl AsRef<Path> + Send + 'static,
    events: Events,
) -> Result<ContextDigest, Error> {
    on_thread(move |cancel| {
        let context = Context::scan_until(root.as_ref(), &options, &events, cancel)?;
        context.copy(directory.as_ref(), &events)
    })
    .await
}
