//! Tokens end, and work goes on.

use std::time::Duration;

use launch_registry::Registry;
use launch_registry::conformance::Sample;

use crate::support::{ACR, Clouds, GAR, image, silent, unique};

async fn push(registry: &dyn Registry, host: &str) {
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(3000)
        .with_layer(vec![1; 999])
        .write(layout.path())
        .unwrap();
    let name = image(host, &format!("launch-test/{}:v1", unique("renewed")));
    let pushed = registry
        .push(layout.path(), &name, &silent())
        .await
        .unwrap();
    assert_eq!(pushed.digest(), digest);
}

/// They live for two seconds. Both kinds end: the cloud's, and the registry's that it was exchanged for.
#[tokio::test]
async fn tokens_that_ended_are_got_anew() {
    let Some(clouds) = Clouds::get() else { return };
    let gar = clouds.gar(clouds.google_file("brief-user.json"));
    let acr = clouds.acr(clouds.azure("planted-brief"));
    for _ in 0..3 {
        push(&gar, GAR[0]).await;
        push(&acr, ACR[0]).await;
        tokio::time::sleep(Duration::from_millis(2300)).await;
    }
}
