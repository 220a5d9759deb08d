//! One build of a tag at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Builds of one tag happen one at a time: the second finds what the first built.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Flights {
    /// Waits until nobody else builds `tag`; the build lasts as long as the answer lives.
    pub(crate) async fn board(&self, tag: &str) -> Option<OwnedSemaphorePermit> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| Arc::strong_count(flight) > 1);
            let fresh = || Arc::new(Semaphore::new(1));
            Arc::clone(flights.entry(tag.to_owned()).or_insert_with(fresh))
        };
        flight.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_tag_is_built_once_at_a_time() {
        let flights = Flights::default();
        let first = flights.board("a").await;
        assert!(first.is_some());
        let mut second = Box::pin(flights.board("a"));
        let wait = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(wait, &mut second).await.is_err(),
            "it waits"
        );
        assert!(flights.board("b").await.is_some(), "another tag does not");
        drop(first);
        assert!(second.await.is_some());
    }
}
