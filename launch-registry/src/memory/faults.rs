//! How the registry misbehaves.

use std::time::Duration;

/// Bad behaviour on demand. The default is none; chances are between 0 and 1.
///
/// ```
/// use launch_registry::memory::Faults;
///
/// let shaky = Faults::default().with_resets(0.05).with_errors(0.05).with_seed(7);
/// # let _ = shaky;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "faults are independent of each other"
)]
#[non_exhaustive]
pub struct Faults {
    /// Every request waits this long.
    pub latency: Duration,
    /// How likely a connection is reset: before the request is acted on, in the middle of its
    /// body, or after, so that only the answer is lost.
    pub resets: f64,
    /// How likely the answer is 500.
    pub errors: f64,
    /// How likely the answer is 429, with a `Retry-After`.
    pub throttles: f64,
    /// What the `Retry-After` says, in whole seconds.
    pub retry_after: Duration,
    /// Uploads break after this many bytes of one request, as often as
    /// [`Faults::breaks`] says.
    pub break_after: u64,
    /// How often uploads still break.
    pub breaks: u32,
    /// Requests with a longer body are refused with 413, as by a proxy; 0 is no limit.
    pub limit: u64,
    /// `PATCH` and `PUT` of uploads are answered 307, if there is another host for uploads.
    pub redirects: bool,
    /// The content of large blobs is not read.
    pub stalls: bool,
    /// `Docker-Content-Digest` is wrong.
    pub lies: bool,
    /// `Docker-Content-Digest` is left out.
    pub silence: bool,
    /// Errors repeat the `Authorization` header they met.
    pub echo: bool,
    /// Where chance begins.
    pub seed: u64,
}

impl Faults {
    /// Sets the latency.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Sets the chance of a reset.
    #[must_use]
    pub fn with_resets(self, resets: f64) -> Self {
        Self { resets, ..self }
    }

    /// Sets the chance of a 500.
    #[must_use]
    pub fn with_errors(self, errors: f64) -> Self {
        Self { errors, ..self }
    }

    /// Sets the chance of a 429.
    #[must_use]
    pub fn with_throttles(self, throttles: f64) -> Self {
        Self { throttles, ..self }
    }

    /// Sets what throttled clients are told to wait.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Sets the largest body of a request.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Redirects uploads.
    #[must_use]
    pub fn with_redirects(self) -> Self {
        Self {
            redirects: true,
            ..self
        }
    }

    /// Breaks `breaks` uploads, each after `bytes`.
    #[must_use]
    pub fn with_breaks(self, breaks: u32, bytes: u64) -> Self {
        Self {
            breaks,
            break_after: bytes,
            ..self
        }
    }

    /// Reads no large blobs.
    #[must_use]
    pub fn with_stalls(self) -> Self {
        Self {
            stalls: true,
            ..self
        }
    }

    /// Lies about digests.
    #[must_use]
    pub fn with_lies(self) -> Self {
        Self { lies: true, ..self }
    }

    /// Says nothing about digests.
    #[must_use]
    pub fn with_silence(self) -> Self {
        Self {
            silence: true,
            ..self
        }
    }

    /// Repeats credentials in errors.
    #[must_use]
    pub fn with_echo(self) -> Self {
        Self { echo: true, ..self }
    }

    /// Sets where chance begins.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Good,
    ResetBefore,
    ResetDuring,
    ResetAfter,
    Error,
    Throttle,
}

/// Repeatable chance (`SplitMix64`, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).expect("32 bits are left");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    pub(super) fn fate(&mut self, faults: &Faults) -> Fate {
        let draw = self.fraction();
        if draw < faults.resets {
            return [Fate::ResetBefore, Fate::ResetDuring, Fate::ResetAfter][self.one_of_three()];
        }
        if draw < faults.resets + faults.errors {
            return Fate::Error;
        }
        let throttled = draw < faults.resets + faults.errors + faults.throttles;
        if throttled {
            Fate::Throttle
        } else {
            Fate::Good
        }
    }

    fn one_of_three(&mut self) -> usize {
        usize::try_from(self.next() % 3).expect("it is less than three")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_as_likely_as_it_says_and_repeatable() {
        let faults = Faults::default().with_resets(0.1).with_errors(0.2);
        let roll = || {
            let mut dice = Dice::new(3);
            (0..10_000).map(|_| dice.fate(&faults)).collect::<Vec<_>>()
        };
        let fates = roll();
        let errors = fates.iter().filter(|fate| **fate == Fate::Error).count();
        let good = fates.iter().filter(|fate| **fate == Fate::Good).count();
        assert!((1800..2200).contains(&errors) && (6800..7200).contains(&good));
        assert_eq!(fates, roll());
    }
}
