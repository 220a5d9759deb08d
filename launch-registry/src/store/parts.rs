//! Puts content of any size in bounded memory: one request if it is small, else parts.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};

use super::Content;

/// The size of a part, all but the last: S3 wants at least 5 MiB.
const PART: u64 = 8 * 1024 * 1024;
/// S3 takes 10000 parts; a large file gets larger ones.
const MOST_PARTS: u64 = 9000;
/// As many parts are on their way at a time, while the next is read.
const PARALLEL: usize = 3;

/// Why a put failed.
pub(super) enum Failure {
    Read(io::Error),
    Store(object_store::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Puts all of `pieces` at `path`.
pub(super) async fn put(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    mut pieces: Pieces,
) -> Result<(), Failure> {
    let first = pieces.next().await.map_err(Failure::Read)?;
    if !first.is_full {
        store.put(path, first.payload).await?;
        return Ok(());
    }
    let mut upload = Abandoned(Some(store.put_multipart(path).await?));
    let outcome = send(upload.parts(), first.payload, pieces).await;
    match upload.0.take() {
        Some(mut parts) if outcome.is_err() => abort(&mut *parts).await,
        _ => (),
    }
    outcome
}

async fn send(
    upload: &mut dyn MultipartUpload,
    first: PutPayload,
    mut pieces: Pieces,
) -> Result<(), Failure> {
    let mut on_the_way = FuturesUnordered::new();
    on_the_way.push(upload.put_part(first));
    loop {
        // Parts move only while they are waited for, so they are, during reading too.
        let next = async { pieces.next().await.map_err(Failure::Read) };
        let part = while_moving(&mut on_the_way, next).await?;
        let is_full = part.is_full;
        if part.length > 0 {
            on_the_way.push(upload.put_part(part.payload));
        }
        if !is_full {
            break;
        }
        while on_the_way.len() >= PARALLEL {
            on_the_way.try_next().await?;
        }
    }
    while on_the_way.try_next().await?.is_some() {}
    upload.complete().await?;
    Ok(())
}

/// Waits for `next`, and sees to it that the parts go on meanwhile.
async fn while_moving<T>(
    on_the_way: &mut FuturesUnordered<object_store::UploadPart>,
    next: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut next = std::pin::pin!(next);
    loop {
        tokio::select! {
            next = &mut next => return next,
            Some(part) = on_the_way.next() => part?,
        }
    }
}

/// An upload that is aborted if nobody finishes it.
struct Abandoned(Option<Box<dyn MultipartUpload>>);

impl Abandoned {
    fn parts(&mut self) -> &mut dyn MultipartUpload {
        self.0.as_mut().expect("it is taken at the end only")
    }
}

impl Drop for Abandoned {
    /// The future was dropped: parts that nobody completes cost money in some stores.
    fn drop(&mut self) {
        if let (Some(mut parts), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { abort(&mut *parts).await });
        }
    }
}

async fn abort(parts: &mut dyn MultipartUpload) {
    if let Err(error) = parts.abort().await {
        let error = super::refusal::Refusal::of(&error).map(ToString::to_string);
        tracing::debug!(error, "parts of an upload are left to expire");
    }
}

/// One part of an object.
struct Part {
    payload: PutPayload,
    length: u64,
    /// Whether there may be more.
    is_full: bool,
}

/// Content, cut into parts.
pub(super) enum Pieces {
    File {
        file: Option<fs_err::File>,
        part: u64,
    },
    Stream {
        content: Content,
        left: Bytes,
    },
}

impl Pieces {
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let path: PathBuf = path.to_owned();
        let open = move || -> io::Result<Self> {
            let file = fs_err::File::open(path)?;
            let part = PART.max(file.metadata()?.len() / MOST_PARTS);
            let file = Some(file);
            Ok(Self::File { file, part })
        };
        tokio::task::spawn_blocking(open).await?
    }

    pub(super) fn stream(content: Content) -> Self {
        let left = Bytes::new();
        Self::Stream { content, left }
    }

    async fn next(&mut self) -> io::Result<Part> {
        match self {
            Self::File { file, part } => {
                let Some(mut opened) = file.take() else {
                    return Err(io::Error::other("the file was not read to its end"));
                };
                let size = *part;
                let read = move || read(&mut opened, size).map(|part| (part, opened));
                let (part, opened) = tokio::task::spawn_blocking(read).await??;
                *file = Some(opened);
                Ok(part)
            }
            Self::Stream { content, left } => gather(content, left).await,
        }
    }
}

fn read(file: &mut fs_err::File, size: u64) -> io::Result<Part> {
    use io::Read as _;
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
    file.take(size).read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    Ok(Part {
        payload: bytes.into(),
        length,
        is_full: length == size,
    })
}

async fn gather(content: &mut Content, left: &mut Bytes) -> io::Result<Part> {
    let size = usize::try_from(PART).map_err(io::Error::other)?;
    let mut pieces = Vec::new();
    let mut length = 0;
    while length < size {
        let mut piece = std::mem::take(left);
        if piece.is_empty() {
            match content.next().await {
                Some(next) => piece = next?,
                None => break,
            }
        }
        *left = piece.split_off(piece.len().min(size - length));
        length += piece.len();
        pieces.push(piece);
    }
    Ok(Part {
        payload: pieces.into_iter().collect(),
        length: length as u64,
        is_full: length == size,
    })
}
