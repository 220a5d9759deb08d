//! Makes a tiny image and pushes it: to the name given, or to a registry in this process.
//!
//! ```sh
//! cargo run -p launch-registry --example push_layout --features memory
//! cargo run -p launch-registry --example push_layout -- localhost:5000/hello:v1
//! ```

#![expect(clippy::print_stdout, reason = "it is a program for people to watch")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use launch_registry::config::image::{Digest, ImageRef};
use launch_registry::oci::OciRegistry;
use launch_registry::{PushEvent, PushEvents, Registry as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(name) => push_to(&name.parse()?).await,
        None => push_to_memory().await,
    }
}

#[cfg(feature = "memory")]
async fn push_to_memory() -> Result<(), Box<dyn Error>> {
    let server = launch_registry::memory::MemoryRegistry::builder()
        .start()
        .await?;
    push_to(&format!("{}/hello:v1", server.host()).parse()?).await
}

#[cfg(not(feature = "memory"))]
#[expect(clippy::unused_async, reason = "with the feature it waits")]
async fn push_to_memory() -> Result<(), Box<dyn Error>> {
    Err("name an image to push to, or turn on the feature `memory`".into())
}

async fn push_to(image: &ImageRef) -> Result<(), Box<dyn Error>> {
    let layout = tempfile::tempdir()?;
    write_layout(layout.path())?;
    let registry = OciRegistry::builder().build()?;
    registry.check(image).await?;
    let events: PushEvents = Arc::new(show);
    let pushed = registry.push(layout.path(), image, &events).await?;
    println!("pushed {pushed}");
    println!("{image} is now {:?}", registry.find(image).await?);
    Ok(())
}

fn show(event: PushEvent) {
    match event {
        PushEvent::Blob { digest, size } => println!("{}: {size} bytes", digest.short()),
        PushEvent::Done { digest, how } => println!("{}: {how:?}", digest.short()),
        PushEvent::Retry { what } => println!("again: {what}"),
        _ => (),
    }
}

/// An image layout is two JSON files and a folder of blobs named by their digests.
fn write_layout(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs_err::create_dir_all(directory.join("blobs/sha256"))?;
    let put = |kind: &str, bytes: &[u8]| -> std::io::Result<Value> {
        let digest = Digest::from_sha256(Sha256::digest(bytes).into());
        fs_err::write(directory.join("blobs/sha256").join(digest.to_hex()), bytes)?;
        let media_type = format!("application/vnd.oci.image.{kind}");
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    };
    let tar = layer("hello", "from launch-registry\n")?;
    let rootfs =
        json!({ "type": "layers", "diff_ids": [Digest::from_sha256(Sha256::digest(&tar).into())] });
    let config = json!({ "os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put("config.v1+json", config.to_string().as_bytes())?,
        "layers": [put("layer.v1.tar", &tar)?],
    });
    let entry = put("manifest.v1+json", manifest.to_string().as_bytes())?;
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs_err::write(directory.join("index.json"), index.to_string())?;
    let marker = json!({ "imageLayoutVersion": "1.0.0" });
    fs_err::write(directory.join("oci-layout"), marker.to_string())?;
    Ok(())
}

/// A layer with one file.
fn layer(name: &str, content: &str) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content.as_bytes())?;
    tar.into_inner()
}
