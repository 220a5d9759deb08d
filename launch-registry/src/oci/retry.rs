//! When a request is tried again, and how long that waits.
//!
//! Waits grow exponentially with full jitter: a uniformly random part of the step, so that
//! agents which failed together do not come back together. A registry that names a time
//! (`Retry-After`, RFC 9110 section 10.2.3) is taken at its word.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tokio::time::Instant;

use crate::clock;

/// How many challenges in a row a login answers that was accepted before.
const CHALLENGES: u32 = 4;

/// How often and how long a failed request is tried again.
///
/// Both bounds hold: whichever is reached first ends it. An upload that moves forward
/// starts both anew, so a layer of many gigabytes may survive many broken connections.
///
/// ```
/// use std::time::Duration;
/// use launch_registry::oci::RetryPolicy;
///
/// let patient = RetryPolicy::default().with_tries(20).with_total(Duration::from_secs(3600));
/// # let _ = patient;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The first step; the second is twice as long, and so on. 250 ms by default.
    pub first: Duration,
    /// No step is longer. 20 s by default.
    pub longest: Duration,
    /// How often a request is sent in all, the first time included. 8 by default.
    pub tries: u32,
    /// How long after the first failure a request may be sent again. 5 minutes by default.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(20),
            tries: 8,
            total: Duration::from_mins(5),
        }
    }
}

impl RetryPolicy {
    /// Sets the first step.
    #[must_use]
    pub fn with_first(self, first: Duration) -> Self {
        Self { first, ..self }
    }

    /// Sets the longest step.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Sets how often a request is sent in all; 0 counts as 1.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Sets how long after the first failure a request may be sent again.
    #[must_use]
    pub fn with_total(self, total: Duration) -> Self {
        Self { total, ..self }
    }

    /// The step after `failures` failures, before jitter.
    fn step(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// Whether the same request may succeed later.
///
/// 501 and 505 are answers about what the server can do, which waiting does not change.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 429 => true,
        501 | 505 => false,
        code => code >= 500,
    }
}

/// The wait a server asks for, in seconds or as a date.
///
/// A date is compared with the server's own `Date`, so a wrong clock on either side
/// does not matter.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(wanted).ok()?;
    let from: SystemTime = text(DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(clock::now);
    Some(until.duration_since(from).unwrap_or_default())
}

/// The tries of one request so far.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    policy: &'a RetryPolicy,
    tries: u32,
    failing_since: Option<Instant>,
    /// How many challenges were answered since the last progress.
    challenges: u32,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(policy: &'a RetryPolicy) -> Self {
        Self {
            policy,
            tries: 0,
            failing_since: None,
            challenges: 0,
        }
    }

    /// Something moved forward: what failed before no longer counts.
    pub(crate) fn progress(&mut self) {
        *self = Self::new(self.policy);
    }

    /// Whether a challenge deserves an answer: the first one does, and where the same login
    /// was accepted before, a few more do. Whoever has just been let in is not a stranger;
    /// a login that was taken back stays one.
    pub(crate) fn answers_challenge(&mut self, is_accepted: bool) -> bool {
        self.challenges += 1;
        self.challenges <= if is_accepted { CHALLENGES } else { 1 }
    }

    /// Counts a failure; how long to wait before the next try, or `None` if there is none.
    pub(crate) fn after_failure(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.tries += 1;
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if self.tries >= self.policy.tries {
            return None;
        }
        let wait = self.policy.step(self.tries).mul_f64(random_fraction());
        let wait = asked.map_or(wait, |asked| asked.max(wait));
        (since.elapsed() + wait <= self.policy.total).then_some(wait)
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Whole seconds since the first failure.
    pub(crate) fn seconds(&self) -> u64 {
        self.failing_since
            .map_or(0, |since| since.elapsed().as_secs())
    }
}

/// Uniform in [0, 1). Without a source of randomness there is no jitter: the longest wait.
fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn steps_double_up_to_the_longest() {
        let policy = RetryPolicy::default().with_first(Duration::from_secs(1));
        let steps: Vec<u64> = (1..8).map(|n| policy.step(n).as_secs()).collect();
        assert_eq!(steps, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(policy.step(u32::MAX), policy.longest);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_and_time_are_both_bounds() {
        let policy = RetryPolicy::default().with_tries(3);
        let mut pace = Pace::new(&policy);
        assert!(
            pace.after_failure(None)
                .is_some_and(|wait| wait <= policy.first)
        );
        assert!(pace.after_failure(None).is_some());
        assert_eq!((pace.after_failure(None), pace.tries()), (None, 3));

        let mut pace = Pace::new(&policy);
        assert_eq!(pace.after_failure(Some(policy.total * 2)), None);
        pace.progress();
        assert!(pace.after_failure(None).is_some());
        tokio::time::advance(policy.total + Duration::from_secs(1)).await;
        assert_eq!(pace.after_failure(None), None);
    }

    #[test]
    fn who_was_let_in_before_may_answer_again() {
        let policy = RetryPolicy::default();
        let mut stranger = Pace::new(&policy);
        assert!(stranger.answers_challenge(false) && !stranger.answers_challenge(false));
        let mut known = Pace::new(&policy);
        assert!((0..CHALLENGES).all(|_| known.answers_challenge(true)));
        assert!(!known.answers_challenge(true));
        known.progress();
        assert!(known.answers_challenge(true));
    }

    #[test]
    fn the_servers_word_counts_in_seconds_or_as_a_date() {
        let headers = |pairs: &[(HeaderName, &'static str)]| -> HeaderMap {
            let value = |text| HeaderValue::from_static(text);
            pairs
                .iter()
                .map(|(name, text)| (name.clone(), value(*text)))
                .collect()
        };
        assert_eq!(
            retry_after(&headers(&[(RETRY_AFTER, "7")])),
            Some(Duration::from_secs(7))
        );
        let dated = headers(&[
            (DATE, "Wed, 21 Oct 2015 07:28:00 GMT"),
            (RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT"),
        ]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "soon")])), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn what_waiting_cannot_change_is_not_transient() {
        let transient = |code| is_transient(StatusCode::from_u16(code).unwrap());
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(transient));
        assert!(
            ![200, 400, 401, 403, 404, 416, 501]
                .into_iter()
                .any(transient)
        );
    }
}
