//! A value with an end, got anew before it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A value is renewed this long before its end.
///
/// Google's metadata server hands out the same token until five minutes before its end, so
/// asking earlier than that brings nothing new.
const MARGIN: Duration = Duration::from_secs(225);
/// How long a good old value is used after a renewal failed, before the next try.
const PAUSE: Duration = Duration::from_secs(10);

/// A value as it was just got.
#[derive(Debug, Clone)]
pub(crate) struct Fresh<T> {
    pub(crate) value: T,
    /// How long it is good; `None` is for ever.
    pub(crate) life: Option<Duration>,
}

#[derive(Clone)]
struct Held<T> {
    value: T,
    renew: Option<Instant>,
    end: Option<Instant>,
}

impl<T> Held<T> {
    fn new(fresh: Fresh<T>) -> Self {
        let now = Instant::now();
        let margin = |life: Duration| life.saturating_sub(MARGIN.min(life / 4));
        Self {
            value: fresh.value,
            renew: fresh.life.map(|life| now + margin(life)),
            end: fresh.life.map(|life| now + life),
        }
    }
}

/// Keeps a value until shortly before its end. All who ask meanwhile wait for one answer.
pub(crate) struct Cached<T>(Mutex<State<T>>);

struct State<T> {
    cell: Arc<OnceCell<Held<T>>>,
    /// The value before, while it is good.
    last: Option<Held<T>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        let cell = Arc::default();
        Self(Mutex::new(State { cell, last: None }))
    }
}

/// Values may be secret.
impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cached")
    }
}

impl<T: Clone> Cached<T> {
    /// The value; `fetch` is called if there is none or its end is near.
    #[expect(
        clippy::future_not_send,
        reason = "it is as `Send` as what `fetch` makes; ours are"
    )]
    pub(crate) async fn get<E>(
        &self,
        fetch: impl AsyncFnOnce() -> Result<Fresh<T>, E>,
    ) -> Result<T, E> {
        let cell = self.cell();
        let got = cell.get_or_try_init(async || fetch().await.map(Held::new));
        match got.await {
            Ok(held) => Ok(held.value.clone()),
            Err(error) => {
                let last = self.keep_last(&cell).ok_or(error);
                last.inspect(|_| tracing::warn!("credentials not renewed yet, the old are used"))
            }
        }
    }

    fn cell(&self) -> Arc<OnceCell<Held<T>>> {
        let mut state = self.state();
        let now = Instant::now();
        let held = state.cell.get();
        if let Some(held) = held.filter(|held| held.renew.is_some_and(|at| at <= now)) {
            state.last = Some(held.clone());
            state.cell = Arc::default();
        }
        Arc::clone(&state.cell)
    }

    /// Puts the old value back for a moment, if it is good.
    fn keep_last(&self, failed: &Arc<OnceCell<Held<T>>>) -> Option<T> {
        let mut state = self.state();
        let now = Instant::now();
        let last = state.last.clone()?;
        if last.end.is_some_and(|end| end <= now) {
            state.last = None;
            return None;
        }
        if Arc::ptr_eq(&state.cell, failed) {
            let renew = Some(now + PAUSE);
            let again = Held {
                renew,
                ..last.clone()
            };
            state.cell = Arc::new(OnceCell::new_with(Some(again)));
        }
        Some(last.value)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[derive(Default)]
    struct Service {
        asked: AtomicU32,
        down: std::sync::atomic::AtomicBool,
    }

    impl Service {
        async fn ask(&self) -> Result<Fresh<u32>, &'static str> {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let value = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let life = Some(HOUR);
            let is_down = self.down.load(Ordering::SeqCst);
            if is_down {
                Err("down")
            } else {
                Ok(Fresh { value, life })
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_renewed_before_its_end_and_once_for_all() {
        let (cached, service) = (Cached::default(), Service::default());
        let get = || cached.get(async || service.ask().await);
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!((a, b, c), (Ok(1), Ok(1), Ok(1)));
        tokio::time::advance(HOUR.saturating_sub(MARGIN + Duration::from_secs(1))).await;
        assert_eq!(get().await, Ok(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        let (a, b) = tokio::join!(get(), get());
        assert_eq!((a, b), (Ok(2), Ok(2)), "and before its end");
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_is_used_while_it_is_good_and_the_service_is_down() {
        let (cached, service) = (Cached::default(), Service::default());
        let get = || cached.get(async || service.ask().await);
        assert_eq!(get().await, Ok(1));
        service.down.store(true, Ordering::SeqCst);
        tokio::time::advance(HOUR.saturating_sub(MARGIN) + Duration::from_secs(1)).await;
        assert_eq!(get().await, Ok(1));
        assert_eq!(get().await, Ok(1));
        let asked = service.asked.load(Ordering::SeqCst);
        assert_eq!(
            asked, 2,
            "a service that is down is left alone for a moment"
        );
        service.down.store(false, Ordering::SeqCst);
        tokio::time::advance(PAUSE).await;
        assert_eq!(get().await, Ok(3));
        service.down.store(true, Ordering::SeqCst);
        tokio::time::advance(HOUR).await;
        assert_eq!(get().await, Err("down"), "what has ended is not used");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (cached, service) = (Cached::default(), Service::default());
        service.down.store(true, Ordering::SeqCst);
        assert_eq!(cached.get(async || service.ask().await).await, Err("down"));
        service.down.store(false, Ordering::SeqCst);
        assert_eq!(cached.get(async || service.ask().await).await, Ok(2));
    }
}
