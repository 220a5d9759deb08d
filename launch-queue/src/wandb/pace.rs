//! When to ask for jobs, and in which queue first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::Failure;

/// At once while there is something, else once in a poll interval, also while the server
/// fails: an agent is back with its first answer. Chance spreads many agents over it.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    state: Mutex<State>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Instant>,
    fails: bool,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        let (state, turn) = Default::default();
        Self {
            interval,
            state,
            turn,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // No call panics while it holds this.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_time(&self) -> bool {
        self.with(|state| state.next.is_none_or(|next| Instant::now() >= next))
    }

    /// A slot became free: no reason to wait, unless the server fails.
    pub(super) fn hurry(&self) {
        self.with(|state| {
            if !state.fails {
                state.next = None;
            }
        });
    }

    pub(super) fn after<T>(&self, answer: &Result<Option<T>, Failure>) {
        let rest = |wait: Duration| Some(Instant::now() + wait);
        // From 0.65 to 0.9 of it, so that whoever looks ten times in an interval asks in it.
        let wait = self.interval * (922 - u32::from(chance())) / 1024;
        self.with(|state| {
            state.fails = answer.is_err();
            state.next = match answer {
                Ok(Some(_)) => None,
                Ok(None) => rest(wait),
                Err(failure) => rest(wait.max(failure.retry_after().unwrap_or_default())),
            };
        });
    }

    /// The numbers of `count` queues, beginning with the one whose turn it is.
    pub(super) fn order(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.turn.load(Ordering::Relaxed);
        (0..count).map(move |step| (first + step) % count)
    }

    /// A queue gave a job: the one after it is asked first.
    pub(super) fn gave(&self, queue: usize) {
        self.turn.store(queue + 1, Ordering::Relaxed);
    }
}

fn chance() -> u8 {
    let mut byte = [0_u8; 1];
    // Without it, agents come together; the server bears it.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_after_the_one_that_gave_is_asked_first() {
        let pace = Pace::new(Duration::from_secs(1));
        let order = |pace: &Pace| pace.order(3).collect::<Vec<_>>();
        assert_eq!(order(&pace), [0, 1, 2]);
        pace.gave(0);
        assert_eq!(order(&pace), [1, 2, 0]);
        pace.gave(2);
        assert_eq!(order(&pace), [0, 1, 2]);
        assert_eq!(pace.order(0).count(), 0);
    }

    #[test]
    fn a_server_that_fails_is_asked_once_in_an_interval() {
        let pace = Pace::new(Duration::from_mins(1));
        assert!(pace.is_time());
        pace.after::<()>(&Err(Failure::Shape("x")));
        pace.hurry();
        assert!(!pace.is_time(), "a free slot does not make it answer");
        pace.after::<()>(&Ok(None));
        assert!(!pace.is_time());
        pace.hurry();
        assert!(pace.is_time());
        pace.after(&Ok(Some(())));
        assert!(pace.is_time());
    }

    #[test]
    fn nobody_waits_longer_than_an_interval_unless_the_server_says_so() {
        let pace = Pace::new(Duration::from_mins(1));
        let left = || {
            let next = pace.with(|state| state.next);
            next.map_or(Duration::ZERO, |next| next - Instant::now())
        };
        for _ in 0..100 {
            pace.after::<()>(&Err(Failure::Shape("x")));
            assert!(left() > Duration::from_secs(38) && left() < Duration::from_secs(55));
        }
        pace.after::<()>(&Err(Failure::Resting(Duration::from_mins(5))));
        assert!(left() > Duration::from_mins(4));
    }
}
