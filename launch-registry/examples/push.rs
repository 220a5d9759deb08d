//! Pushes the image in an OCI layout: `push LAYOUT IMAGE`.
//!
//! ```sh
//! skopeo copy docker-daemon:train:v1 oci:layout:v1
//! cargo run -p launch-registry --example push -- layout localhost:5000/train:v1
//! ```

#![expect(clippy::print_stdout, reason = "it is a program for people to watch")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use launch_registry::oci::OciRegistry;
use launch_registry::{PushEvent, PushEvents, Registry as _};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [layout, image] = arguments.as_slice() else {
        return Err("usage: push LAYOUT IMAGE".into());
    };
    let registry = OciRegistry::builder().build()?;
    let counts: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let events = counting(&counts);
    let pushed = registry
        .push(layout.as_ref(), &image.parse()?, &events)
        .await?;
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    println!("pushed {pushed}: {counts:?}");
    Ok(())
}

/// How many blobs came to be there in which way, and how often something was tried again.
fn counting(counts: &Arc<Mutex<BTreeMap<String, u32>>>) -> PushEvents {
    let counts = Arc::clone(counts);
    Arc::new(move |event| {
        let what = match event {
            PushEvent::Done { how, .. } => format!("{how:?}"),
            PushEvent::Retry { .. } => "Retried".to_owned(),
            _ => return,
        };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what).or_default() += 1;
    })
}
