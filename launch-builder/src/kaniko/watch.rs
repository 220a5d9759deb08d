//! From a Job that runs to its end, with its log on the way.
//!
//! The Job's status is asked for in short intervals, and its pod's log is followed: the end
//! of the log shortens the interval. So nothing is lost with a watch that broke off, and the
//! rights suffice that agents have had for their builds since long.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use launch_config::image::Digest;
use launch_config::secret::Secret;
use tokio::time::Instant;

use super::cluster::{Cluster, failed, is_transient};
use super::follower::Follower;
use super::state::{self, JobState, job_state};
use crate::error::Error;
use crate::event::{Event, Events};
use crate::log::Log;

/// Between two questions for the Job's status.
const INTERVAL: Duration = Duration::from_secs(2);
/// After the log's end the Job's is a matter of moments.
const MOMENT: Duration = Duration::from_millis(300);
/// What is left of the log when the Job has ended may take so long.
const REST: Duration = Duration::from_secs(15);

/// How a build ended.
pub(super) enum Ended {
    /// It pushed an image; the digest, if its pod told it.
    Pushed(Option<Digest>),
    /// It failed: a sentence, and the last lines of its log.
    Failed(String, Vec<String>),
}

pub(super) struct Watch<'a> {
    cluster: &'a Cluster,
    job: &'a str,
    container: &'a str,
    events: &'a Events,
    log: Log<'a>,
    follower: Option<Follower>,
    /// Bytes of the log we have.
    read: u64,
    is_log_complete: bool,
    obstacle: Option<String>,
}

impl<'a> Watch<'a> {
    /// The log is said without what is hidden.
    pub(super) fn new(
        cluster: &'a Cluster,
        job: &'a str,
        container: &'a str,
        (events, hidden): (&'a Events, Vec<Secret>),
    ) -> Self {
        Self {
            cluster,
            job,
            container,
            events,
            log: Log::new(events, hidden),
            follower: None,
            read: 0,
            is_log_complete: false,
            obstacle: None,
        }
    }

    /// Waits for the Job's end.
    pub(super) async fn end(mut self, limit: Duration) -> Result<Ended, Error> {
        let deadline = Instant::now() + limit;
        loop {
            match self.cluster.job(self.job).await {
                Ok(Some(job)) => match job_state(&job) {
                    JobState::Running => {}
                    ended => return self.ended(ended).await,
                },
                Ok(None) => {
                    let said = format!("Job `{}` was deleted", self.job);
                    return Ok(self.failed(said));
                }
                Err(error) => self.tolerate(error)?,
            }
            if Instant::now() >= deadline {
                let waits = self.obstacle.take().map(|text| format!(" ({text})"));
                let said = format!(
                    "no end after {} s{}",
                    limit.as_secs(),
                    waits.unwrap_or_default()
                );
                return Ok(self.failed(said));
            }
            self.look_for_log().await?;
            self.follow(Instant::now() + INTERVAL).await;
        }
    }

    /// What is wrong for a moment only is worth a word.
    fn tolerate(&self, error: kube::Error) -> Result<(), Error> {
        if !is_transient(&error) {
            return Err(failed(error));
        }
        tracing::warn!(job = self.job, %error, "cannot ask for the build's state yet");
        Ok(())
    }

    /// Opens the log when there is one, and says what the pod waits for.
    async fn look_for_log(&mut self) -> Result<(), Error> {
        if self.follower.is_some() || self.is_log_complete {
            return Ok(());
        }
        let pod = match self.cluster.pod(self.job).await {
            Ok(Some(pod)) => pod,
            Ok(None) => return Ok(()),
            // Who may not see pods gets no log; the build does not depend on it.
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
            Err(error) => return self.tolerate(error),
        };
        if state::has_begun(&pod, self.container) {
            self.open_log(&pod, true).await;
        } else if let Some(obstacle) = state::obstacle(&pod, self.container) {
            if self.obstacle.as_ref() != Some(&obstacle) {
                self.events
                    .say(Event::Warning(format!("the build waits: {obstacle}")));
            }
            self.obstacle = Some(obstacle);
        }
        Ok(())
    }

    async fn open_log(&mut self, pod: &Pod, follow: bool) {
        match self
            .cluster
            .log(&pod.name_any(), self.container, follow)
            .await
        {
            Ok(stream) => self.follower = Some(Follower::new(stream, self.read)),
            Err(error) => {
                tracing::warn!(job = self.job, %error, "cannot read the build's log");
            }
        }
    }

    /// Reads the log until a point in time, or shortly after its end.
    async fn follow(&mut self, until: Instant) {
        loop {
            let Some(follower) = &mut self.follower else {
                return tokio::time::sleep_until(until).await;
            };
            let piece = tokio::select! {
                piece = follower.next() => piece,
                () = tokio::time::sleep_until(until) => return,
            };
            match piece {
                Some(Ok(text)) => {
                    self.read = follower.position;
                    self.log.take(&text);
                }
                ended => {
                    self.is_log_complete = ended.is_none();
                    self.follower = None;
                    return tokio::time::sleep(MOMENT).await;
                }
            }
        }
    }

    /// The rest of the log, and the pod's last word.
    async fn ended(mut self, state: JobState) -> Result<Ended, Error> {
        let pod = match self.cluster.pod(self.job).await {
            Ok(pod) => pod,
            Err(error) => {
                tracing::warn!(job = self.job, %error, "cannot see the build's pod");
                None
            }
        };
        if let Some(pod) = &pod
            && self.follower.is_none()
            && !self.is_log_complete
        {
            self.open_log(pod, false).await;
        }
        self.drain().await;
        let pod = pod.as_ref();
        if state == JobState::Succeeded {
            return Ok(Ended::Pushed(
                pod.and_then(|pod| state::digest(pod, self.container)),
            ));
        }
        let ending = pod.and_then(|pod| state::ending(pod, self.container));
        let gone = || format!("Job `{}` failed, and its pod is gone", self.job);
        let ending = ending.unwrap_or_else(gone);
        Ok(self.failed(ending))
    }

    async fn drain(&mut self) {
        let end = Instant::now() + REST;
        while let Some(follower) = &mut self.follower {
            match tokio::time::timeout_at(end, follower.next()).await {
                Ok(Some(Ok(text))) => self.log.take(&text),
                _ => self.follower = None,
            }
        }
    }

    fn failed(self, ending: String) -> Ended {
        let tail = self.log.into_tail();
        // The executor's own last line names the step; the exit code alone says nothing.
        let last = tail
            .last()
            .filter(|line| line.to_lowercase().contains("error"));
        let said = match last {
            Some(line) => format!("{} ({ending})", line.chars().take(500).collect::<String>()),
            None => ending,
        };
        Ended::Failed(said, tail)
    }
}
