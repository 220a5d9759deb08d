//! What an engine exports, unpacked by name.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use fs_err::File;
use launch_config::image::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{invalid, parse};

/// No config or manifest is longer; a layer is never read whole.
const LONGEST_DOCUMENT: u64 = 16 << 20;
/// An image has at most 127 layers; with all that goes with each, an export has no more.
const MOST_ENTRIES: usize = 10_000;

/// The files of an export. They have numbers on disk: the names in an archive name nothing.
#[derive(Debug)]
pub(super) struct Saved {
    files: HashMap<PathBuf, PathBuf>,
    links: HashMap<PathBuf, PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: PathBuf,
    layers: Vec<PathBuf>,
}

impl Saved {
    pub(super) fn unpack(
        export: impl Read,
        directory: &Path,
        is_stopped: &dyn Fn() -> bool,
    ) -> io::Result<Self> {
        let mut saved = Self {
            files: HashMap::new(),
            links: HashMap::new(),
        };
        let mut archive = tar::Archive::new(export);
        for (number, entry) in archive.entries()?.enumerate() {
            if is_stopped() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if number == MOST_ENTRIES {
                return Err(invalid("it has too many entries"));
            }
            saved.take(&mut entry?, &directory.join(number.to_string()))?;
        }
        Ok(saved)
    }

    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let Some(name) = normal(&entry.path()?) else {
            return Ok(());
        };
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let expected = entry.size();
                let copied = io::copy(entry, &mut File::create(path)?)?;
                if copied != expected {
                    return Err(invalid("it breaks off"));
                }
                self.files.insert(name, path.to_owned());
            }
            // Engines before 25 write the second of two equal layers as a link.
            kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                let target = entry.link_name()?.unwrap_or_default();
                let base = name
                    .parent()
                    .filter(|_| kind.is_symlink())
                    .unwrap_or(Path::new(""));
                self.links
                    .extend(normal(&base.join(target)).map(|target| (name, target)));
            }
            _ => {}
        }
        Ok(())
    }

    fn find(&self, name: &Path) -> io::Result<&Path> {
        let missing = || invalid(format!("it has no `{}`", name.display()));
        let name = normal(name).ok_or_else(missing)?;
        let name = self.links.get(&name).unwrap_or(&name);
        self.files
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(missing)
    }

    fn document(&self, name: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.find(name)?)?
            .take(LONGEST_DOCUMENT + 1)
            .read_to_end(&mut bytes)?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= LONGEST_DOCUMENT);
        let refusal = || invalid(format!("its `{}` is longer than 16 MiB", name.display()));
        fits.then_some(bytes).ok_or_else(refusal)
    }

    fn image(&self) -> io::Result<Image> {
        let bytes = self.document(Path::new("manifest.json"))?;
        let images: Vec<Image> = parse("manifest.json", &bytes)?;
        images
            .into_iter()
            .next()
            .ok_or_else(|| invalid("its manifest.json names no image"))
    }

    /// The image's config, which is its identity: its name in the export is its digest.
    pub(super) fn config(&self) -> io::Result<Vec<u8>> {
        let name = self.image()?.config;
        let bytes = self.document(&name)?;
        let digest = Digest::from_sha256(Sha256::digest(&bytes).into()).to_hex();
        let stem = name.file_stem().and_then(|stem| stem.to_str());
        let refusal = || invalid(format!("its config `{}` is `{digest}`", name.display()));
        (stem == Some(&digest)).then_some(bytes).ok_or_else(refusal)
    }

    /// The image's layers, the lowest first.
    pub(super) fn layers(&self) -> io::Result<Vec<PathBuf>> {
        let layers = self.image()?.layers;
        layers
            .iter()
            .map(|name| self.find(name).map(Path::to_owned))
            .collect()
    }
}

/// The path without `.` and `..`; `None` if it leads out.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}
