//! What a chain looks at on this machine.

use std::collections::BTreeMap;
use std::fmt;
#[cfg(feature = "gcp")]
use std::path::Path;
#[cfg(feature = "azure")]
use std::path::PathBuf;

/// Variables of the environment, as they were when this was made.
///
/// A value, so that an embedder can hand one identity to one client and another to the next.
///
/// ```
/// use launch_registry::credentials::Surroundings;
///
/// let ours = Surroundings::of_process();
/// let given = Surroundings::new([("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_SECRET", "hunter2")]);
/// assert!(!format!("{ours:?} {given:?}").contains("hunter2"));
/// ```
#[derive(Clone, Default)]
pub struct Surroundings(BTreeMap<String, String>);

impl Surroundings {
    /// Those of this process. A variable that is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    pub fn new(
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// A variable. An empty one is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// A variable, or that it is missing.
    pub(crate) fn need(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name} is not set"))
    }

    /// The user's directory.
    #[cfg(feature = "gcp")]
    pub(crate) fn home(&self) -> Option<&Path> {
        self.get("HOME").map(Path::new)
    }

    /// The first file called `name` in `PATH`.
    #[cfg(feature = "azure")]
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.get("PATH")?;
        let files = std::env::split_paths(path).map(|directory| directory.join(name));
        files.into_iter().find(|file| file.is_file())
    }

    /// All of them, for a program that is started.
    #[cfg(any(feature = "azure", feature = "gcp"))]
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// Names alone: values are passwords, now and then.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surroundings({} variables)", self.0.len())
    }
}
