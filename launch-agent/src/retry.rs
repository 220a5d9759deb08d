//! Whether a job that ended is put back.

use std::time::Duration;

use launch_config::agent::RetryConfig;
use launch_config::outcome::{Outcome, Reason};

/// What becomes of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It has ended.
    End(Outcome),
    /// It is put back, for an attempt after this long.
    Again(Duration),
}

/// Decides by the reason, and by how often the job was put back before.
pub(crate) fn next(retry: &RetryConfig, attempt: u32, outcome: Outcome) -> Next {
    let limit = retry.limit(outcome.reason);
    if attempt < limit {
        return Next::Again(retry.wait(outcome.reason, attempt));
    }
    if outcome.reason == Reason::Preempted {
        let said = Some(outcome.message.as_str()).filter(|text| !text.is_empty());
        let said = said.map(|text| format!("{text}; ")).unwrap_or_default();
        let message = format!("{said}put back {attempt} times, which is the limit");
        return Next::End(outcome.with_message(message));
    }
    Next::End(outcome)
}

#[cfg(test)]
mod tests {
    use launch_config::outcome::Stage;

    use super::*;

    #[test]
    fn a_job_is_put_back_until_the_limit_and_then_says_so() {
        let retry = RetryConfig::default();
        let preempted = || Outcome::new(Reason::Preempted, Stage::Watch).with_message("gone");
        for attempt in 0..5 {
            let put_back = next(&retry, attempt, preempted());
            assert_eq!(put_back, Next::Again(Duration::ZERO));
        }
        let Next::End(ended) = next(&retry, 5, preempted()) else {
            panic!("a sixth time");
        };
        assert_eq!(ended.message, "gone; put back 5 times, which is the limit");
        let lost = Outcome::new(Reason::Lost, Stage::Watch);
        assert_eq!(next(&retry, 0, lost.clone()), Next::End(lost));
    }
}
