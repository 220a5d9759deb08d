//! What the suite sees of a run.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use futures_util::StreamExt as _;
use launch_config::id::RunKey;
use launch_config::outcome::Reason;

use super::Harness;
use crate::run::{Run, RunEnd, RunEvent, RunState};

/// How long any run of the suite may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A key nobody has used.
///
/// # Panics
/// Never: the text made here is a valid id.
pub fn fresh_key() -> RunKey {
    let random = RandomState::new().build_hasher().finish();
    RunKey::new(
        format!("conf-{random:016x}")
            .parse()
            .expect("hex digits are an id"),
        0,
    )
}

/// Everything one watcher saw.
#[derive(Debug)]
pub struct Seen {
    /// The states, in order.
    pub states: Vec<RunState>,
    /// The output.
    pub output: Vec<u8>,
    /// The end.
    pub end: RunEnd,
}

impl Seen {
    /// The output as text, without white space at its end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end().to_owned()
    }

    /// Checks why the run ended.
    ///
    /// # Panics
    /// If it ended for another reason.
    pub fn assert_reason(&self, reason: Reason) {
        assert_eq!(
            self.end.reason,
            reason,
            "message `{}`, output {}",
            self.end.message,
            self.text()
        );
    }
}

/// Watches `run` to its end, and checks that the order of events is a legal one.
///
/// # Panics
/// If it is not, or if the run takes more than two minutes.
pub async fn watch(run: &dyn Run, log_offset: u64) -> Seen {
    tokio::time::timeout(PATIENCE, watch_patiently(run, log_offset))
        .await
        .unwrap_or_else(|_| panic!("{:?} did not end in {PATIENCE:?}", run.handle()))
}

async fn watch_patiently(run: &dyn Run, log_offset: u64) -> Seen {
    let (mut states, mut output, mut end) = (Vec::<RunState>::new(), Vec::new(), None);
    let mut events = run.events(log_offset);
    while let Some(event) = events.next().await {
        assert!(end.is_none(), "after its end, a run told {event:?}");
        match event {
            RunEvent::State(state) => {
                let before = states.last();
                let legal = before.is_none_or(|before| before.may_become(state));
                assert!(legal, "a run went from {before:?} to {state:?}");
                states.push(state);
            }
            RunEvent::Log(bytes) => output.extend_from_slice(&bytes),
            RunEvent::Ended(how) => end = Some(how),
            RunEvent::Warning(_) => {}
        }
    }
    Seen {
        states,
        output,
        end: end.expect("events end with `Ended`"),
    }
}

/// Submits `script`, watches it, and removes it.
pub(super) async fn run_script(harness: &dyn Harness, script: &str) -> Seen {
    let run = submit(harness, &fresh_key(), script).await;
    let seen = watch(&*run, 0).await;
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
    seen
}

/// Submits `script` through a runner that is dropped at once.
pub(super) async fn submit(harness: &dyn Harness, key: &RunKey, script: &str) -> Box<dyn Run> {
    let request = harness.script(key.clone(), script);
    harness
        .open()
        .await
        .submit(request)
        .await
        .expect("the script is taken")
}

/// Waits until `run` has written something.
pub(super) async fn wait_for_output(run: &dyn Run) {
    let mut events = run.events(0);
    let output = async {
        while let Some(event) = events.next().await {
            if matches!(event, RunEvent::Log(_)) {
                return;
            }
        }
        panic!("the run ended before it wrote anything");
    };
    tokio::time::timeout(PATIENCE, output)
        .await
        .expect("the program writes when it is up");
}
