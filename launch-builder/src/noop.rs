//! The builder of those who only run images that are there already.

use std::fmt;

use async_trait::async_trait;

use crate::error::Error;
use crate::event::Events;
use crate::{BuildRequest, Builder, BuiltImage};

/// Builds nothing. Every job that brings code is refused, with a word on what to do; who
/// would rather run it in a base image, with its code mounted, asks
/// [`plan::mounted`](crate::plan::mounted()) how.
///
/// ```
/// use launch_builder::Builder;
/// use launch_builder::noop::NoopBuilder;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert!(NoopBuilder::new().check().await.is_ok());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NoopBuilder;

impl NoopBuilder {
    /// The only one there is.
    pub fn new() -> Self {
        Self
    }
}

impl fmt::Display for NoopBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("noop")
    }
}

#[async_trait]
impl Builder for NoopBuilder {
    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn build(&self, request: BuildRequest, _: &Events) -> Result<BuiltImage, Error> {
        Err(Error::NothingToBuildWith(request.plan.source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BuildSpec, plan};
    use crate::source::SourceTree;

    #[tokio::test]
    async fn source_code_is_refused() {
        let project = tempfile::tempdir().unwrap();
        fs_err::write(project.path().join("main.py"), "").unwrap();
        let plan = plan(
            &SourceTree::open(project.path()).unwrap(),
            &BuildSpec::new(),
        )
        .unwrap();
        let request = BuildRequest::new(plan, "job:1".parse().unwrap());
        let error = NoopBuilder::new()
            .build(request, &Events::silent())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NothingToBuildWith(_)), "{error}");
        assert!(error.hint().unwrap().contains("--builder docker"));
    }
}
