//! What ends a command early: an exit code, a chain of causes, advice.

use std::error::Error;

use crate::exit::Exit;

/// Why a command ends early.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// The outermost message first, then one line for each cause.
    pub(crate) chain: Vec<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// The user's doing: nothing was started.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            chain: vec![message.into()],
            hint: None,
        }
    }

    /// The surroundings' doing.
    pub(crate) fn surroundings(error: &(dyn Error + 'static)) -> Self {
        Self {
            exit: Exit::Surroundings,
            chain: chain(error),
            hint: None,
        }
    }

    /// The surroundings' doing, with what was being done.
    pub(crate) fn doing(what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::surroundings(error);
        failure.chain.insert(0, what.into());
        failure
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<&str>) -> Self {
        self.hint = hint.map(str::to_owned);
        self
    }

    /// Says that it was not the user's doing.
    #[must_use]
    pub(crate) fn by_surroundings(mut self) -> Self {
        self.exit = Exit::Surroundings;
        self
    }

    /// Says that it was the user's doing.
    #[must_use]
    pub(crate) fn by_user(mut self) -> Self {
        self.exit = Exit::Usage;
        self
    }
}

/// An error and its causes, outermost first; a cause that repeats the one before is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if messages.last() != Some(&text) {
            messages.push(text);
        }
        source = cause.source();
    }
    messages
}

/// The chain on one line, for places that have only one.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    chain(error).join(": ")
}

impl From<launch_queue::Error> for Failure {
    fn from(error: launch_queue::Error) -> Self {
        let by_user = matches!(
            error,
            launch_queue::Error::Settings { .. } | launch_queue::Error::Config { .. }
        );
        let failure = Self::surroundings(&error).maybe_hint(error.hint());
        if by_user { failure.by_user() } else { failure }
    }
}

impl From<launch_builder::Error> for Failure {
    fn from(error: launch_builder::Error) -> Self {
        Self::surroundings(&error).maybe_hint(error.hint())
    }
}

impl From<launch_registry::Error> for Failure {
    fn from(error: launch_registry::Error) -> Self {
        Self::surroundings(&error).maybe_hint(error.hint())
    }
}

impl From<launch_runner::Error> for Failure {
    fn from(error: launch_runner::Error) -> Self {
        Self::surroundings(&error).maybe_hint(error.hint())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::surroundings(&error)
    }
}

impl From<launch_config::load::LoadError> for Failure {
    fn from(error: launch_config::load::LoadError) -> Self {
        Self::surroundings(&error).by_user()
    }
}

impl From<launch_config::load::Report> for Failure {
    fn from(report: launch_config::load::Report) -> Self {
        Self::usage(report.to_string())
    }
}
