//! From the engine's store to an image layout on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use launch_config::image::ImageRef;
use tokio::sync::mpsc;

use super::body::reader;
use super::{DockerBuilder, NAME, layout, unavailable};
use crate::error::Error;
use crate::source::blocking;

/// Tells the converting thread, when dropped, that nobody waits for it.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Exports the image into `directory`, which is empty or not there, whole or not at all.
pub(super) async fn export(
    builder: &DockerBuilder,
    image: &ImageRef,
    directory: PathBuf,
) -> Result<(), Error> {
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let (sender, reader) = reader();
    let tag = image.tag().unwrap_or("latest").to_owned();
    let stopped = Arc::clone(&stop.0);
    let target = directory.clone();
    let converting = blocking(move || {
        let is_stopped = || stopped.load(Ordering::Relaxed);
        Ok(layout::convert(reader, &target, &tag, &is_stopped))
    });
    let receiving = receive(builder, image, sender);
    let (converted, received) = tokio::join!(converting, receiving);
    // A broken download breaks the conversion: its cause goes first.
    received?;
    let staged = converted?.map_err(|error| explain(image, error))?;
    blocking(move || Ok(layout::place(staged, &directory)?)).await
}

async fn receive(
    builder: &DockerBuilder,
    image: &ImageRef,
    sender: mpsc::Sender<Bytes>,
) -> Result<(), Error> {
    let docker = builder.docker.clone().with_timeout(builder.timeout);
    let name = image.to_string();
    let mut blocks = std::pin::pin!(docker.export_image(&name));
    while let Some(block) = blocks.next().await {
        if sender.send(block.map_err(unavailable)?).await.is_err() {
            // The conversion has ended, and says why.
            break;
        }
    }
    Ok(())
}

fn explain(image: &ImageRef, error: std::io::Error) -> Error {
    if error.kind() != std::io::ErrorKind::InvalidData {
        return error.into();
    }
    let said = format!("its export is not an image: {error}");
    Error::Build {
        builder: NAME,
        image: image.to_string(),
        said,
        log_tail: Vec::new(),
    }
}
