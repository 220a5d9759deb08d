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
//! ustar, with pax headers for what does not fit; entries in the order of the recipe, owner
//! and group 0, every time 1980-01-02 (zip, hence a Python wheel made from the files, begins
//! in 1980). gzip carries neither time nor name nor system. Its bytes are those of one
//! version of the compressor, the same on every processor; the digest does not depend on it.

mod cancel;
mod ignore;
mod options;
mod recipe;
mod root;
mod scan;
mod stream;
mod tarball;
mod tree;
mod unpack;

use std::io::Write;
use std::path::Path;

use launch_config::image::Digest;

use self::cancel::{Cancel, on_thread};
use self::ignore::Rules;
pub use self::options::{ContextOptions, Format};
use self::root::Root;
use self::scan::Entries;
use self::tarball::Tarball;
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
    pub fn hash(mut self, events: &Events) -> Result<ContextDigest, Error> {
        self.stream(&mut (), events)
    }

    /// Reads every file into an archive, and answers its digest with the writer.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::Io`] if the writer fails. What is written is no archive
    /// then.
    pub fn pack<W: Write>(mut self, writer: W, events: &Events) -> Result<(Packed, W), Error> {
        let mut tarball = Tarball::new(writer, &self.options);
        let ContextDigest {
            digest,
            files,
            bytes,
        } = self.stream(&mut tarball, events)?;
        let (archive, writer) = tarball.finish()?;
        let (archive_bytes, archive_digest) = (archive.bytes, archive.digest);
        Ok((
            Packed {
                digest,
                files,
                bytes,
                archive_bytes,
                archive_digest,
            },
            writer,
        ))
    }

    /// Copies the context into a directory that is there, with the modes of the recipe.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::NotADirectory`], [`Error::Write`], and
    /// [`Error::Archive`] for an entry that is there already.
    pub fn copy(mut self, directory: &Path, events: &Events) -> Result<ContextDigest, Error> {
        let mut tree = Tree::new(directory)?;
        self.stream(&mut tree, events)
    }

    fn stream(
        &mut self,
        sink: &mut impl stream::Sink,
        events: &Events,
    ) -> Result<ContextDigest, Error> {
        let Self {
            root,
            rules,
            entries,
            cancel,
            ..
        } = self;
        stream::stream(root, (rules, entries), sink, events, cancel)
    }
}

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
