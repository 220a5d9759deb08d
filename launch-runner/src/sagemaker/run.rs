//! One training job.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

use super::output::Cursor;
use super::{NAME, Parts, state, tag};
use crate::Error;
use crate::managed::{self, Fault, Look, Managed, patiently};
use crate::run::{Run, RunEvent, RunHandle};

/// A training job, found by its name.
#[derive(Clone)]
pub(super) struct SagemakerRun {
    pub(super) parts: Arc<Parts>,
    /// Its id is the name of the training job.
    pub(super) handle: RunHandle,
}

impl fmt::Debug for SagemakerRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagemakerRun")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl SagemakerRun {
    /// What SageMaker knows of it.
    pub(super) async fn describe(&self) -> Result<Value, Fault> {
        let body = json!({"TrainingJobName": self.handle.id});
        self.parts.sagemaker("DescribeTrainingJob", &body).await
    }

    /// The ARN of the training job, if it is the one of this run.
    pub(super) async fn owned_arn(&self) -> Result<Option<String>, Fault> {
        let job = patiently(|| self.describe()).await?;
        let arn = job["TrainingJobArn"].as_str().ok_or(Fault::Absent)?;
        let tags = patiently(|| self.tags(arn)).await?;
        let key = tag::key_of(&tags);
        Ok((key.as_ref() == Some(&self.handle.key)).then(|| arn.to_owned()))
    }

    async fn tags(&self, arn: &str) -> Result<Vec<Value>, Fault> {
        let mut tags = Vec::new();
        let mut body = json!({ "ResourceArn": arn });
        loop {
            let answer = self.parts.sagemaker("ListTags", &body).await?;
            tags.extend(answer["Tags"].as_array().cloned().unwrap_or_default());
            match answer["NextToken"].as_str() {
                Some(token) => body["NextToken"] = json!(token),
                None => return Ok(tags),
            }
        }
    }

    fn failed(&self, action: &'static str, fault: Fault) -> Error {
        fault.about(NAME, action, &self.handle.key)
    }

    async fn stop(&self) -> Result<(), Fault> {
        let body = json!({"TrainingJobName": self.handle.id});
        self.parts
            .sagemaker("StopTrainingJob", &body)
            .await
            .map(drop)
    }
}

#[async_trait]
impl Managed for SagemakerRun {
    const SERVICE: &'static str = "SageMaker";
    type Cursor = Cursor;

    async fn look(&self) -> Result<Look, Fault> {
        self.describe().await.map(|job| state::look(&job))
    }

    async fn read(&self, cursor: &mut Cursor, ended: bool) -> Result<Option<Bytes>, Fault> {
        cursor.read(&self.parts.aws, &self.handle.id, ended).await
    }
}

#[async_trait]
impl Run for SagemakerRun {
    fn handle(&self) -> &RunHandle {
        &self.handle
    }

    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent> {
        managed::events(self.clone(), log_offset, self.parts.pace)
    }

    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error> {
        let slice = managed::slice(self, offset, limit).await;
        slice.map_err(|fault| self.failed("read the output of", fault))
    }

    async fn cancel(&self, _grace: Duration) -> Result<(), Error> {
        let failed = |fault| self.failed("cancel", fault);
        let look = match patiently(|| self.look()).await {
            Err(Fault::Absent) => return Ok(()),
            look => look.map_err(failed)?,
        };
        if look.is_ended() {
            return Ok(());
        }
        match patiently(|| self.stop()).await {
            Ok(()) | Err(Fault::Absent) => Ok(()),
            // It ended, or somebody else stopped it, between the two calls.
            Err(fault) => match patiently(|| self.look()).await.map_err(failed)?.stand {
                managed::Stand::Ended(_)
                | managed::Stand::Alive(crate::run::RunState::Stopping) => Ok(()),
                managed::Stand::Alive(_) => Err(failed(fault)),
            },
        }
    }

    async fn clean_up(&self) -> Result<(), Error> {
        let failed = |fault| self.failed("clean up", fault);
        let job = match patiently(|| self.describe()).await {
            Err(Fault::Absent) => return Ok(()),
            job => job.map_err(failed)?,
        };
        if !state::look(&job).is_ended() {
            return Err(failed(Fault::Refused("it has not ended".to_owned())));
        }
        let body = json!({"ResourceArn": job["TrainingJobArn"], "TagKeys": tag::KEYS});
        patiently(|| self.parts.sagemaker("DeleteTags", &body))
            .await
            .map_err(failed)?;
        self.parts.forget(&self.handle.key);
        Ok(())
    }
}
