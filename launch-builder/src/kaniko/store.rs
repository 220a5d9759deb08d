//! Where a build finds its context: an object store, or a volume shared with it.

use std::fmt::{self, Debug, Display};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::source::blocking;

/// Where the Job finds the volume of a [`VolumeStore`].
pub const MOUNT: &str = "/context";

/// Why a store did not do what it was asked to; the builder adds which store and what.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// A place for context archives that kaniko reads. Displays as its address.
///
/// # Contract
///
/// - `put` is atomic and repeatable: a reader finds the whole archive or none, and putting
///   the same name again replaces it.
/// - `delete` of what is not there succeeds.
#[async_trait]
pub trait ContextStore: Debug + Display + Send + Sync + 'static {
    /// Asks whether an archive could be put there now.
    ///
    /// # Errors
    /// What is missing.
    async fn check(&self) -> Result<(), StoreError>;

    /// Puts an archive there under a name; answers the address kaniko reads it from.
    ///
    /// # Errors
    /// Why it is not there.
    async fn put(&self, name: &str, archive: &Path) -> Result<String, StoreError>;

    /// Removes an archive.
    ///
    /// # Errors
    /// Why it may still be there.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The claim of the volume it is, which the Job mounts at [`MOUNT`].
    fn claim(&self) -> Option<&str>;
}

/// A volume that is mounted here and, through its claim, into every build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeStore {
    claim: String,
    mount: PathBuf,
}

impl VolumeStore {
    /// The volume of `claim`, mounted here at `mount`.
    pub fn new(claim: impl Into<String>, mount: impl Into<PathBuf>) -> Self {
        Self {
            claim: claim.into(),
            mount: mount.into(),
        }
    }
}

impl Display for VolumeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "volume `{}` at {}", self.claim, self.mount.display())
    }
}

#[async_trait]
impl ContextStore for VolumeStore {
    async fn check(&self) -> Result<(), StoreError> {
        let mount = self.mount.clone();
        blocking(move || Ok(tempfile::tempfile_in(&mount)?)).await?;
        Ok(())
    }

    async fn put(&self, name: &str, archive: &Path) -> Result<String, StoreError> {
        let (mount, archive) = (self.mount.clone(), archive.to_owned());
        let target = self.mount.join(name);
        blocking(move || {
            // The other side reads while we write: it sees the name with the last byte.
            let mut scratch = tempfile::NamedTempFile::new_in(&mount)?;
            let mut archive = fs_err::File::open(&archive)?;
            std::io::copy(&mut archive, &mut scratch)?;
            // The build's user is not ours.
            scratch
                .as_file()
                .set_permissions(Permissions::from_mode(0o644))?;
            scratch.as_file().sync_all()?;
            scratch.persist(&target).map_err(|error| error.error)?;
            Ok(())
        })
        .await?;
        Ok(format!("tar://{MOUNT}/{name}"))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let target = self.mount.join(name);
        match tokio::fs::remove_file(&target).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn claim(&self) -> Option<&str> {
        Some(&self.claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_volume_holds_an_archive_as_long_as_it_is_needed() {
        let mount = tempfile::tempdir().unwrap();
        let store = VolumeStore::new("claim", mount.path());
        let archive = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(archive.path(), "bytes").unwrap();
        store.check().await.unwrap();
        for _ in 0..2 {
            let address = store.put("id.tgz", archive.path()).await.unwrap();
            assert_eq!(address, "tar:///context/id.tgz");
            let held = fs_err::read_to_string(mount.path().join("id.tgz"));
            assert_eq!(held.unwrap(), "bytes");
        }
        for _ in 0..2 {
            store.delete("id.tgz").await.unwrap();
        }
        assert_eq!(fs_err::read_dir(mount.path()).unwrap().count(), 0);
        drop(mount);
        assert!(store.check().await.is_err());
        assert!(store.put("id.tgz", archive.path()).await.is_err());
    }
}
