//! What keeps a run from starting, and since when.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use launch_config::outcome::Reason;
use tokio::time::Instant;

use super::super::Patience;
use super::super::stand::{Fault, Trouble};
use crate::run::RunEnd;

/// The faults that were told, and since when they last.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<(Trouble, String), Instant>);

impl Faults {
    /// Notes the faults there are now; answers the texts of those that are new.
    pub(super) fn note(&mut self, faults: &[Fault]) -> Vec<String> {
        let lasting: Vec<(Trouble, String)> = faults.iter().map(Fault::key).collect();
        self.0.retain(|key, _| lasting.contains(key));
        let mut new = Vec::new();
        for fault in faults {
            if let Entry::Vacant(place) = self.0.entry(fault.key()) {
                place.insert(Instant::now());
                new.push(fault.text.clone());
            }
        }
        new
    }

    /// The end of a run that something has kept from starting for too long.
    pub(super) fn overdue(&self, faults: &[Fault], patience: Patience) -> Option<RunEnd> {
        faults.iter().find_map(|fault| {
            let limit = patience.of(fault.trouble)?;
            let since = self.0.get(&fault.key())?;
            (since.elapsed() >= limit).then(|| {
                let message = match limit.as_secs() {
                    0 => fault.text.clone(),
                    seconds => format!("not started within {seconds} s: {}", fault.text),
                };
                RunEnd::new(Reason::SubmitFailed, message)
            })
        })
    }

    /// When the next of them has lasted too long.
    pub(super) fn next_deadline(&self, patience: Patience) -> Option<Instant> {
        let limits = self
            .0
            .iter()
            .filter_map(|((trouble, _), since)| Some(*since + patience.of(*trouble)?));
        limits.min()
    }
}
