//! What happens to a run, told in order, whatever happens to the connection.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{Fault, Managed, Stand, patiently};
use crate::run::{RunEnd, RunEvent, RunState};

/// From this pause after failures on, people are told that we wait.
const WORTH_A_WARNING: Duration = Duration::from_secs(4);

/// How often a piece of output is asked for, and the pause between.
const READS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// How often a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The pause after something happened; it grows while nothing does.
    pub(crate) soon: Duration,
    /// The longest pause.
    pub(crate) late: Duration,
    /// How long after the end output may still arrive.
    pub(crate) settle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            soon: Duration::from_secs(2),
            late: Duration::from_secs(20),
            settle: Duration::from_secs(5),
        }
    }
}

impl Pace {
    /// The next pause while nothing happens.
    fn after(&self, pause: Duration) -> Duration {
        (pause * 3 / 2).min(self.late)
    }
}

/// Everything that happens to `run`, output from `offset` on.
pub(crate) fn events<R: Managed>(run: R, offset: u64, pace: Pace) -> BoxStream<'static, RunEvent> {
    let watch = Watch {
        run,
        pace,
        cursor: R::Cursor::default(),
        skip: offset,
        state: None,
        note: None,
        end: None,
        settled: false,
        pause: pace.soon,
        failures: 0,
        warned: false,
        done: false,
    };
    stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((event, watch))
    })
    .boxed()
}

/// At most `limit` bytes of output from `offset` on.
pub(crate) async fn slice<R: Managed>(run: &R, offset: u64, limit: usize) -> Result<Bytes, Fault> {
    let ended = patiently(|| run.look()).await?.is_ended();
    let (mut cursor, mut skip, mut slice) = (R::Cursor::default(), offset, BytesMut::new());
    while slice.len() < limit {
        let Some(piece) = read(run, &mut cursor, ended).await? else {
            break;
        };
        slice.extend_from_slice(&after(piece, &mut skip));
    }
    slice.truncate(limit);
    Ok(slice.freeze())
}

/// Reads the next output, and again where the service is busy.
async fn read<R: Managed>(
    run: &R,
    cursor: &mut R::Cursor,
    ended: bool,
) -> Result<Option<Bytes>, Fault> {
    for _ in 1..READS {
        match run.read(cursor, ended).await {
            Err(Fault::Away(error)) => tracing::debug!(error, "reading again"),
            other => return other,
        }
        tokio::time::sleep(PAUSE).await;
    }
    run.read(cursor, ended).await
}

/// What of a piece comes after the first `skip` bytes.
fn after(mut piece: Bytes, skip: &mut u64) -> Bytes {
    let cut = usize::try_from(*skip).map_or(piece.len(), |skip| skip.min(piece.len()));
    *skip -= cut as u64;
    piece.split_off(cut)
}

struct Watch<R: Managed> {
    run: R,
    pace: Pace,
    cursor: R::Cursor,
    /// How many bytes of output need not be told.
    skip: u64,
    state: Option<RunState>,
    note: Option<String>,
    end: Option<RunEnd>,
    /// Whether output had its time to arrive after the end.
    settled: bool,
    pause: Duration,
    failures: u32,
    warned: bool,
    done: bool,
}

impl<R: Managed> Watch<R> {
    async fn next(&mut self) -> Option<RunEvent> {
        if self.done {
            return None;
        }
        loop {
            match self.step().await {
                Ok(Some(event)) => {
                    self.pause = self.pace.soon;
                    return Some(event);
                }
                Ok(None) => (self.failures, self.warned) = (0, false),
                Err(fault) => {
                    if let Some(warning) = self.back_off(&fault).await {
                        return Some(warning);
                    }
                }
            }
        }
    }

    /// The state is told first; after it, output goes first.
    async fn step(&mut self) -> Result<Option<RunEvent>, Fault> {
        let writes = !matches!(self.state, None | Some(RunState::Starting));
        if writes || self.end.is_some() {
            let read = self.run.read(&mut self.cursor, self.end.is_some());
            if let Some(piece) = read.await? {
                let piece = after(piece, &mut self.skip);
                self.settled = false;
                return Ok((!piece.is_empty()).then_some(RunEvent::Log(piece)));
            }
        }
        if self.end.is_some() {
            return Ok(self.settle().await);
        }
        let look = self.run.look().await?;
        if look.note.is_some() && look.note != self.note {
            self.note.clone_from(&look.note);
            return Ok(look.note.map(RunEvent::Warning));
        }
        match look.stand {
            Stand::Ended(end) => {
                self.end = Some(end);
                Ok(None)
            }
            Stand::Alive(state) => {
                if self.state.is_none_or(|known| known.may_become(state)) {
                    self.state = Some(state);
                    return Ok(Some(RunEvent::State(state)));
                }
                tokio::time::sleep(self.pause).await;
                self.pause = self.pace.after(self.pause);
                Ok(None)
            }
        }
    }

    /// Services index output a little later than it is written.
    async fn settle(&mut self) -> Option<RunEvent> {
        if !self.settled {
            self.settled = true;
            tokio::time::sleep(self.pace.settle).await;
            return None;
        }
        self.done = true;
        self.end.take().map(RunEvent::Ended)
    }

    /// Waits before the next try; says so once, if it takes long. A run that is gone is
    /// lost, and everything else is a matter of time: permissions come back, too.
    async fn back_off(&mut self, fault: &Fault) -> Option<RunEvent> {
        if matches!(fault, Fault::Absent) {
            self.done = true;
            let why = format!("{} has no such job any more", R::SERVICE);
            return Some(RunEvent::Ended(RunEnd::lost(why)));
        }
        tracing::debug!(%fault, "watching again");
        let factor = 1_u32.checked_shl(self.failures.min(16)).unwrap_or(1);
        let pause = (self.pace.soon * factor).min(self.pace.late);
        self.failures += 1;
        tokio::time::sleep(pause).await;
        if self.warned || pause < WORTH_A_WARNING.min(self.pace.late) {
            return None;
        }
        self.warned = true;
        let text = format!("{} does not answer ({fault}); still trying", R::SERVICE);
        Some(RunEvent::Warning(text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use launch_config::outcome::Reason;

    use super::super::Look;
    use super::*;

    /// Answers what was written down, then the last of it for ever.
    #[derive(Clone)]
    struct Scripted(Arc<Mutex<VecDeque<Result<Look, &'static str>>>>);

    #[async_trait]
    impl Managed for Scripted {
        const SERVICE: &'static str = "the test";
        type Cursor = usize;

        async fn look(&self) -> Result<Look, Fault> {
            let mut left = self.0.lock().unwrap();
            let next = if left.len() > 1 {
                left.pop_front()
            } else {
                left.front().cloned()
            };
            next.unwrap().map_err(|text| match text {
                "gone" => Fault::Absent,
                other => Fault::Away(other.into()),
            })
        }

        async fn read(&self, cursor: &mut usize, _: bool) -> Result<Option<Bytes>, Fault> {
            *cursor += 1;
            Ok(["0123", "45"]
                .get(*cursor - 1)
                .map(|text| Bytes::from_static(text.as_bytes())))
        }
    }

    /// A thousand times as fast as life.
    const PACE: Pace = Pace {
        soon: Duration::from_millis(2),
        late: Duration::from_millis(20),
        settle: Duration::from_millis(5),
    };

    async fn told(looks: Vec<Result<Look, &'static str>>, offset: u64) -> Vec<RunEvent> {
        let run = Scripted(Arc::new(Mutex::new(looks.into())));
        events(run, offset, PACE).collect().await
    }

    fn succeeded() -> RunEnd {
        RunEnd::new(Reason::Succeeded, "")
    }

    #[tokio::test]
    async fn a_time_without_answers_is_told_once_and_survived() {
        let mut looks = vec![Ok(Look::alive(RunState::Running))];
        looks.extend((0..8).map(|_| Err("down")));
        looks.push(Ok(Look::ended(succeeded())));
        let before = tokio::time::Instant::now();
        let events = told(looks, 3).await;
        // 2, 4, 8, 16, then 20 each: at life's pace, more than a minute.
        assert!(
            before.elapsed() > Duration::from_millis(100),
            "{:?}",
            before.elapsed()
        );
        let [
            RunEvent::State(_),
            RunEvent::Log(one),
            RunEvent::Log(two),
            RunEvent::Warning(text),
            RunEvent::Ended(end),
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((&one[..], &two[..]), (&b"3"[..], &b"45"[..]));
        assert!(text.contains("the test does not answer (down)"), "{text}");
        assert_eq!(end, &succeeded());
    }

    #[tokio::test]
    async fn states_only_move_forward_and_a_vanished_run_is_lost() {
        let alive = |state| Ok(Look::alive(state));
        let looks = vec![
            alive(RunState::Starting),
            alive(RunState::Running),
            alive(RunState::Starting),
            alive(RunState::Stopping),
            Err("gone"),
        ];
        let events = told(looks, 6).await;
        let states: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                RunEvent::State(state) => Some(*state),
                _ => None,
            })
            .collect();
        assert_eq!(
            states,
            [RunState::Starting, RunState::Running, RunState::Stopping]
        );
        let Some(RunEvent::Ended(end)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(end.reason, Reason::Lost);
        assert!(!events.iter().any(|event| matches!(event, RunEvent::Log(_))));
    }
}
