//! Work on threads whose results come in the order of the work.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// More threads need more memory and wait for each other.
const MOST_THREADS: usize = 8;

/// As many threads as the machine has processors for, within reason.
pub(super) fn threads_here() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(MOST_THREADS)
}

/// Where work comes from, and how far it went.
struct Line<N> {
    next: N,
    begun: usize,
    taken: usize,
    is_over: bool,
}

struct Shared<N> {
    line: Mutex<Line<N>>,
    room: Condvar,
    /// So many results may wait or be in the making.
    ahead: usize,
}

impl<N> Shared<N> {
    fn line(&self) -> MutexGuard<'_, Line<N>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.line().is_over = true;
        self.room.notify_all();
    }
}

/// Ends the work of all if one of them panics, as its result will never be taken.
struct EndOnPanic<'a, N>(&'a Shared<N>);

impl<N> Drop for EndOnPanic<'_, N> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// Takes work from `next`, one thread at a time, does it on `threads` threads, each with a
/// worker from `start`, and hands the results to `take` in the order the work came in. Ends
/// with the first error in that order; the threads are gone when it returns.
///
/// Results that wait are bounded: a slow `take` stops the work.
pub(super) fn in_order<T, R, N, W>(
    threads: usize,
    mut next: N,
    start: impl Fn() -> Result<W, Error> + Sync,
    mut take: impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error>
where
    R: Send,
    N: FnMut() -> Option<Result<T, Error>> + Send,
    W: FnMut(T) -> Result<R, Error>,
{
    if threads <= 1 {
        let mut worker = start()?;
        while let Some(work) = next() {
            take(worker(work?)?)?;
        }
        return Ok(());
    }
    let shared = Shared {
        line: Mutex::new(Line {
            next,
            begun: 0,
            taken: 0,
            is_over: false,
        }),
        room: Condvar::new(),
        ahead: 2 * threads + 2,
    };
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..threads {
            let (sender, shared, start) = (sender.clone(), &shared, &start);
            scope.spawn(move || work(shared, start, &sender));
        }
        drop(sender);
        let result = collect(&shared, &results, &mut take);
        shared.end();
        result
    })
}

/// One thread: work until there is none.
fn work<T, R, N, W>(
    shared: &Shared<N>,
    start: &impl Fn() -> Result<W, Error>,
    results: &Sender<(usize, Result<R, Error>)>,
) where
    N: FnMut() -> Option<Result<T, Error>>,
    W: FnMut(T) -> Result<R, Error>,
{
    let _guard = EndOnPanic(shared);
    let mut worker = start();
    loop {
        let mut line = shared.line();
        while !line.is_over && line.begun - line.taken >= shared.ahead {
            line = shared
                .room
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if line.is_over {
            return;
        }
        let Some(work) = (line.next)() else {
            line.is_over = true;
            shared.room.notify_all();
            return;
        };
        let index = line.begun;
        line.begun += 1;
        line.is_over = work.is_err();
        drop(line);
        let result = match (&mut worker, work) {
            (Ok(worker), Ok(work)) => worker(work),
            (_, Err(error)) => Err(error),
            (failed, _) => Err(std::mem::replace(failed, Err(nothing()))
                .err()
                .unwrap_or_else(nothing)),
        };
        let failed = result.is_err();
        if results.send((index, result)).is_err() || failed {
            return;
        }
    }
}

/// Stands where an error was taken away.
fn nothing() -> Error {
    std::io::Error::other("a worker did not start").into()
}

fn collect<R, N>(
    shared: &Shared<N>,
    results: &Receiver<(usize, Result<R, Error>)>,
    take: &mut impl FnMut(R) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut waiting = BTreeMap::new();
    let mut expected = 0;
    for (index, result) in results {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&expected) {
            take(result?)?;
            expected += 1;
            shared.line().taken += 1;
            shared.room.notify_one();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, count: u64, bad: Option<u64>) -> (Vec<u64>, Result<(), Error>) {
        let mut numbers = 0..count;
        let mut seen = Vec::new();
        let result = in_order(
            threads,
            || numbers.next().map(Ok),
            || {
                Ok(|number: u64| {
                    // The first of each few is the slowest.
                    std::thread::sleep(std::time::Duration::from_micros(300 * (3 - number % 4)));
                    if Some(number) == bad {
                        return Err(nothing());
                    }
                    Ok(number * number)
                })
            },
            |square| {
                seen.push(square);
                Ok(())
            },
        );
        (seen, result)
    }

    #[test]
    fn results_come_in_order_from_any_number_of_threads() {
        let expected: Vec<u64> = (0..100).map(|n| n * n).collect();
        for threads in [1, 2, 5, 16] {
            let (seen, result) = squares(threads, 100, None);
            result.unwrap();
            assert_eq!(seen, expected, "{threads}");
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for threads in [1, 2, 5] {
            let (seen, result) = squares(threads, 1000, Some(9));
            assert!(result.is_err());
            assert_eq!(seen.len(), 9, "{threads}");
        }
    }

    #[test]
    fn whoever_takes_can_end_it() {
        for threads in [1, 4] {
            let mut count = 0;
            let result = in_order(
                threads,
                || Some(Ok(())),
                || Ok(|()| Ok(())),
                |()| {
                    count += 1;
                    if count == 50 { Err(nothing()) } else { Ok(()) }
                },
            );
            assert!(result.is_err());
            assert_eq!(count, 50);
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_one_ends_all() {
        let mut numbers = 0..1000;
        let work = |number: u32| {
            assert!(number != 3, "on purpose");
            Ok(())
        };
        let _ = in_order(4, || numbers.next().map(Ok), || Ok(work), |()| Ok(()));
    }
}
