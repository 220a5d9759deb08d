//! What an artifact consists of.
//!
//! Format: W&B's artifact manifest, version 1: `contents` maps a path to a file's `digest`,
//! which is the MD5 of its bytes in base64, its `size`, and, for a file that is somewhere
//! else, a `ref`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use launch_config::image::Digest;
use serde::Deserialize;

use crate::error::Error;

/// The only version there is.
const VERSION: u64 = 1;

/// The files of an artifact. Their names are checked: each is a relative path in plain
/// parts, and none is the directory of another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Manifest {
    /// In the order of their paths.
    pub files: Vec<ManifestFile>,
}

/// A file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestFile {
    /// Where it belongs, with `/` between the parts.
    pub path: String,
    /// What its bytes are.
    pub digest: ContentDigest,
    /// How many they are.
    pub size: u64,
    /// The artifact that brought the file first, which W&B's storage addresses it by.
    pub birth_artifact: Option<String>,
}

/// The digest of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentDigest {
    /// Of W&B's manifests. It finds accidents; against attacks it is as good as the store.
    Md5([u8; 16]),
    /// Of everybody else's.
    Sha256(Digest),
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::Md5(bytes) => {
                f.write_str("md5:")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Raw {
    version: Option<u64>,
    contents: BTreeMap<String, RawFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    digest: String,
    size: Option<u64>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(rename = "birthArtifactID")]
    birth_artifact: Option<String>,
}

impl Manifest {
    /// Reads a manifest as W&B writes it.
    ///
    /// # Errors
    /// [`Error::Manifest`] for another format, a file without its size, or one that is only
    /// a reference to somewhere else; [`Error::Path`] for a name that leads out.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let raw: Raw = serde_json::from_slice(text)
            .map_err(|error| Error::Manifest(format!("is not one ({error})")))?;
        if let Some(version) = raw.version.filter(|version| *version != VERSION) {
            return Err(Error::Manifest(format!(
                "has version {version}, not {VERSION}"
            )));
        }
        let files = raw.contents.into_iter().map(|(path, file)| file.read(path));
        Self::new(files.collect::<Result<_, _>>()?)
    }

    /// A manifest of these files.
    ///
    /// # Errors
    /// [`Error::Path`] for a name that leads out, [`Error::Manifest`] for two files in one
    /// place.
    pub fn new(mut files: Vec<ManifestFile>) -> Result<Self, Error> {
        files.iter().try_for_each(|file| check_name(&file.path))?;
        files.sort_by(|one, other| parts(&one.path).cmp(parts(&other.path)));
        for pair in files.windows(2) {
            let mut later = parts(&pair[1].path);
            if parts(&pair[0].path).all(|part| later.next() == Some(part)) {
                let (one, other) = (&pair[0].path, &pair[1].path);
                return Err(Error::Manifest(format!(
                    "has `{other}` in the place of `{one}`"
                )));
            }
        }
        Ok(Self { files })
    }
}

impl ManifestFile {
    /// A file and what it is.
    pub fn new(path: impl Into<String>, digest: ContentDigest, size: u64) -> Self {
        Self {
            path: path.into(),
            digest,
            size,
            birth_artifact: None,
        }
    }
}

impl RawFile {
    fn read(self, path: String) -> Result<ManifestFile, Error> {
        let refuse = |why: &str| Error::Manifest(format!("has `{path}`, {why}"));
        if self.reference.is_some() {
            return Err(refuse(
                "which is a reference to another store: that is not followed",
            ));
        }
        let digest = md5(&self.digest).ok_or_else(|| refuse("whose digest is no MD5 in base64"))?;
        let size = self.size.ok_or_else(|| refuse("without its size"))?;
        Ok(ManifestFile {
            digest: ContentDigest::Md5(digest),
            size,
            birth_artifact: self.birth_artifact,
            path,
        })
    }
}

/// Sixteen bytes in base64.
fn md5(text: &str) -> Option<[u8; 16]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
}

/// A name that is a place in the target, and one place only.
fn check_name(path: &str) -> Result<(), Error> {
    let refuse = |why| Error::Path {
        what: "artifact file",
        path: path.into(),
        why,
    };
    if path.contains(['\0', '\\']) {
        return Err(refuse("has a character no file of a job has"));
    }
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => return Err(refuse("leads out of the source")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("is absolute")),
            Component::CurDir | Component::Normal(_) => {}
        }
    }
    let is_plain = |part: &str| !matches!(part, "" | ".") && part.len() <= 255;
    if parts(path).all(is_plain) && path.len() <= 4000 {
        Ok(())
    } else {
        Err(refuse("is not the name of a file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

    fn read(contents: &str) -> Result<Manifest, Error> {
        let text =
            format!("{{\"version\": 1, \"storagePolicy\": \"x\", \"contents\": {contents}}}");
        Manifest::from_json(text.as_bytes())
    }

    fn named(names: &[&str]) -> Result<Manifest, Error> {
        let digest = ContentDigest::Md5([0; 16]);
        let file = |name: &&str| ManifestFile::new(*name, digest, 0);
        Manifest::new(names.iter().map(file).collect())
    }

    #[test]
    fn a_manifest_of_wandb_is_read() {
        let contents = format!(
            "{{\"b/c\": {{\"digest\": \"{EMPTY}\", \"size\": 0, \"birthArtifactID\": \"QQ\"}},\
             \"a\": {{\"digest\": \"{EMPTY}\", \"size\": 7, \"extra\": {{}}}}}}"
        );
        let manifest = read(&contents).unwrap();
        let [a, b] = &manifest.files[..] else {
            panic!("{manifest:?}")
        };
        assert_eq!((a.path.as_str(), a.size), ("a", 7));
        assert_eq!(b.digest.to_string(), "md5:d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(b.birth_artifact.as_deref(), Some("QQ"));
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for (contents, word) in [
            ("[]".to_owned(), "is not one"),
            (
                "{\"a\": {\"digest\": \"x\", \"size\": 1}}".to_owned(),
                "no MD5",
            ),
            (
                format!("{{\"a\": {{\"digest\": \"{EMPTY}\"}}}}"),
                "without its size",
            ),
            (
                format!(
                    "{{\"a\": {{\"digest\": \"{EMPTY}\", \"size\": 1, \"ref\": \"s3://b/k\"}}}}"
                ),
                "another store",
            ),
            (
                "{\"a\": {\"digest\": \"1B2M2Y8AsgTpgAmY7PhCfh==\", \"size\": 1}}".to_owned(),
                "no MD5",
            ),
        ] {
            let error = read(&contents).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = Manifest::from_json(b"{\"version\": 2, \"contents\": {}}").unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn names_that_escape_are_refused() {
        for (name, why) in [
            ("/etc/passwd", "is absolute"),
            ("../x", "leads out of the source"),
            ("a/../../x", "leads out of the source"),
            ("a/..", "leads out of the source"),
            ("", "is not the name of a file"),
            (".", "is not the name of a file"),
            ("a//b", "is not the name of a file"),
            ("a/", "is not the name of a file"),
            ("./a", "is not the name of a file"),
            ("a\0b", "has a character no file of a job has"),
            ("..\\x", "has a character no file of a job has"),
        ] {
            match named(&[name]).unwrap_err() {
                Error::Path { why: said, .. } => assert_eq!(said, why, "{name:?}"),
                other => panic!("{name:?}: {other}"),
            }
        }
        let long = "a".repeat(256);
        assert!(named(&[&long]).is_err());
        assert!(named(&["a/b", "..c", "c..", ".hidden", "ünder/☃"]).is_ok());
    }

    #[test]
    fn two_files_have_two_places() {
        assert!(named(&["a", "b", "a"]).is_err());
        assert!(named(&["a/b/c", "a-b", "a/b"]).is_err());
        assert!(named(&["a/b", "a.b", "ab"]).is_ok());
    }
}
