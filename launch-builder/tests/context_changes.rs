//! What happens to a context while it is read.

#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use launch_builder::Error;
use launch_builder::context::{self, ContextOptions, Format, Packed};
use launch_builder::event::Events;

use self::tree::{PLAIN, Tree, file, hash, pack, tree, write};

/// Does something to the source when the first bytes of the archive come.
struct Meddler<F: FnMut()>(Option<F>);

impl<F: FnMut()> Write for Meddler<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(mut meddle) = self.0.take() {
            meddle();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn meddle(mut meddle: impl FnMut(&Path)) -> Result<Packed, Error> {
    let root = write(&meddled_with(), PLAIN);
    let writer = Meddler(Some(|| meddle(root.path())));
    let options = ContextOptions::new().with_format(Format::Tar);
    context::pack(root.path(), &options, writer, &Events::silent())
}

/// `big` is larger than what is read ahead of the writer, whatever the number of threads.
fn meddled_with() -> Tree {
    tree([("big", file(vec![7; 40 << 20])), ("sub/next", file("1"))])
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let open = |root: &Path| {
        fs_err::OpenOptions::new()
            .write(true)
            .open(root.join("big"))
            .unwrap()
    };
    let grows = meddle(|root| open(root).set_len(64 << 20).unwrap());
    let shrinks = meddle(|root| open(root).set_len(300_000).unwrap());
    let is_rewritten = meddle(|root| open(root).write_all(b"other").unwrap());
    for error in [grows, shrinks, is_rewritten].map(Result::unwrap_err) {
        assert!(
            matches!(&error, Error::Changed(path) if path.ends_with("big")),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with("big` changed while it was read"),
            "{error}"
        );
        assert!(error.is_retryable());
    }
}

#[test]
fn a_file_that_is_swapped_for_something_else_is_named() {
    let next = |root: &Path| root.join("sub/next");
    let vanishes = meddle(|root| fs_err::remove_file(next(root)).unwrap());
    let is_linked = meddle(|root| {
        fs_err::remove_file(next(root)).unwrap();
        symlink("/etc/passwd", next(root)).unwrap();
    });
    for error in [vanishes.unwrap_err(), is_linked.unwrap_err()] {
        assert!(
            matches!(&error, Error::Changed(path) if path.ends_with("sub/next")),
            "{error:?}"
        );
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_is_not_followed() {
    let outside = write(&tree([("next", file("other"))]), PLAIN);
    let packed = meddle(|root| {
        fs_err::rename(root.join("sub"), root.join("was")).unwrap();
        symlink(outside.path(), root.join("sub")).unwrap();
    });
    // It may be open already: then it is read, wherever it is now.
    match packed {
        Ok(packed) => assert_eq!(
            packed.digest,
            hash(write(&meddled_with(), PLAIN).path()).digest
        ),
        Err(error) => assert!(matches!(error, Error::Changed(_)), "{error:?}"),
    }
}

/// Counts what it gets, slowly.
struct Slow(Arc<AtomicU64>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(5));
        self.0.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_dropped_future_ends_the_work() {
    let size = 64 << 20;
    let root = write(&tree([("big", file(vec![7; size]))]), PLAIN);
    let written = Arc::new(AtomicU64::new(0));
    let options = ContextOptions::new().with_format(Format::Tar);
    let writer = Slow(Arc::clone(&written));
    let packing = context::pack_async(root.path().to_owned(), options, writer, Events::silent());
    assert!(
        tokio::time::timeout(Duration::from_millis(100), packing)
            .await
            .is_err()
    );
    // The thread holds the other count until it ends.
    tokio::time::timeout(Duration::from_secs(20), async {
        while Arc::strong_count(&written) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the work goes on although nobody waits");
    let written = written.load(Ordering::SeqCst);
    assert!(written > 0 && written < size as u64 / 2, "{written}");
}

#[tokio::test]
async fn futures_answer_what_the_functions_answer() {
    let root = write(&tree([("a", file("1")), ("b/c", file("2"))]), PLAIN);
    let (path, options) = (root.path().to_owned(), ContextOptions::new());
    let expected = hash(root.path());
    let hashed = context::hash_async(path.clone(), options.clone(), Events::silent())
        .await
        .unwrap();
    assert_eq!(hashed, expected);
    let packing = context::pack_async(path.clone(), options.clone(), Vec::new(), Events::silent());
    let (packed, archive) = packing.await.unwrap();
    assert_eq!(
        (packed.digest, packed.archive_digest),
        (expected.digest, None)
    );
    assert_eq!(archive, pack(root.path(), Format::TarGz).1);
    let copy = tempfile::tempdir().unwrap();
    let copying = context::copy_async(path, options, copy.path().to_owned(), Events::silent());
    assert_eq!(copying.await.unwrap(), expected);
    assert_eq!(hash(copy.path()), expected);
}
