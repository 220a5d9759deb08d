//! Secrets that this process knows, masked in whatever it says.
//!
//! Secrets are kept in types that do not print. This is for texts of others: an error of a
//! library, a log of git, the output of a job. Learned are the secrets of the environment,
//! of the agent file, of specs and of registries; they are masked in every form that
//! [`encodings`] has, in the log, in answers, in what the queue is told, in the output of
//! jobs.

mod encodings;
mod learning;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};

use aho_corasick::{AhoCorasick, MatchKind};
use launch_config::secret::{MASK, Secret};

use self::encodings::forms;
#[cfg(feature = "postgres")]
pub(crate) use self::learning::url;
pub(crate) use self::learning::{environment, spec};

/// Shorter ones are left: masking them would shred every text.
const SHORTEST: usize = 6;

/// How many secrets of specs are known at once: those of the newest jobs.
const REMEMBERED: usize = 256;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// The secrets there are, and how to find them.
#[derive(Debug, Default)]
struct Known {
    /// Those of this process.
    own: BTreeSet<String>,
    /// Those of specs, oldest first.
    of_specs: VecDeque<String>,
    /// All forms of all of them.
    forms: Vec<String>,
    finder: Option<AhoCorasick>,
}

impl Known {
    fn knows(&self, secret: &str) -> bool {
        self.own.contains(secret) || self.of_specs.iter().any(|known| known == secret)
    }

    fn prepare(&mut self) {
        let all = self.own.iter().chain(&self.of_specs);
        let forms: BTreeSet<String> = all.flat_map(|secret| forms(secret)).collect();
        self.forms = forms.into_iter().collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&self.forms);
        self.finder = finder
            .inspect_err(|error| tracing::warn!(%error, "secrets of texts are not masked"))
            .ok();
    }

    fn masked(&self, text: &str) -> Option<String> {
        let finder = self.finder.as_ref()?;
        finder.find(text)?;
        let masks = vec![MASK; self.forms.len()];
        Some(finder.replace_all(text, &masks))
    }

    /// How much of the end of `bytes` may be the beginning of a secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let begins = |length: &usize| {
            let end = &bytes[bytes.len() - length..];
            let is_longer = |form: &&String| form.len() > *length;
            let mut forms = self.forms.iter().filter(is_longer);
            forms.any(|form| form.as_bytes().starts_with(end))
        };
        let longest = self.forms.iter().map(String::len).max().unwrap_or(0);
        let most = longest.saturating_sub(1).min(bytes.len());
        (1..=most).rev().find(begins).unwrap_or(0)
    }
}

fn known() -> RwLockReadGuard<'static, Known> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Masks a secret of this process from now on.
pub(crate) fn secret(secret: &Secret) {
    let text = secret.expose();
    if text.len() < SHORTEST || known().knows(text) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.own.insert(text.to_owned());
    known.prepare();
}

/// Masks secrets of a spec, until many others came.
fn secrets_of_spec(secrets: Vec<String>) {
    let is_new = |text: &String| text.len() >= SHORTEST && !known().knows(text);
    let new: Vec<String> = secrets.into_iter().filter(is_new).collect();
    if new.is_empty() {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.of_specs.extend(new);
    let surplus = known.of_specs.len().saturating_sub(REMEMBERED);
    known.of_specs.drain(..surplus);
    known.prepare();
}

/// A text without the secrets in it.
pub(crate) fn masked(text: String) -> String {
    let masked = known().masked(&text);
    masked.unwrap_or(text)
}

/// Masks a stream of bytes without changing its length: places in it stay what they are.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// What may be the beginning of a secret.
    held: Vec<u8>,
}

impl Stream {
    /// What can be said of the stream so far: less than came, if its end may be the
    /// beginning of a secret.
    pub(crate) fn masked(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
        let known = known();
        let Some(finder) = &known.finder else {
            return bytes;
        };
        let found: Vec<_> = finder
            .find_iter(&bytes)
            .map(|found| found.range())
            .collect();
        let open = found.last().map_or(0, |range| range.end);
        let begun = known.begun(&bytes[open..]);
        for range in found {
            bytes[range].fill(b'*');
        }
        self.held = bytes.split_off(bytes.len() - begun);
        bytes
    }

    /// What was held back, when no more comes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(secrets: &[&str]) -> Known {
        let mut known = Known::default();
        known
            .own
            .extend(secrets.iter().map(|text| (*text).to_owned()));
        known.prepare();
        known
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secret = "p&ss \"w\\rd/ü+1";
        let known = knowing(&[secret]);
        let forms = forms(secret);
        assert!(forms.len() > 8, "{forms:?}");
        for form in forms {
            let masked = known.masked(&format!("before {form} after"));
            assert_eq!(masked.as_deref(), Some("before *** after"), "{form}");
        }
        assert_eq!(known.masked("before and after"), None);
    }

    #[test]
    fn a_stream_keeps_its_length_however_it_was_cut() {
        // The secrets of a process are known to all of it, so this one is of its own.
        let planted = "stream-s3cret-of-this-test";
        secret(&Secret::new(planted));
        let text = format!("one {planted} two {planted}{planted} stream-s3cr");
        for size in 1..text.len() {
            let (mut stream, mut out) = (Stream::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                out.extend(stream.masked(piece));
            }
            out.extend(stream.rest());
            let stars = "*".repeat(planted.len());
            let wanted = format!("one {stars} two {stars}{stars} stream-s3cr");
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{size}");
        }
    }
}
