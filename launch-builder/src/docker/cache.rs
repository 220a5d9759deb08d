//! Whose steps a build may take.

use launch_config::image::ImageRef;

/// Where steps come from that are not run again, and who may take ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    pub(super) is_off: bool,
    from: Vec<ImageRef>,
    pub(super) is_inline: bool,
}

impl Cache {
    pub(super) fn add(&mut self, images: impl IntoIterator<Item = ImageRef>) {
        self.from.extend(images);
    }

    /// The images whose steps count, in their order; none where every step is run.
    pub(super) fn images(&self) -> Option<Vec<String>> {
        let is_used = !self.is_off && !self.from.is_empty();
        is_used.then(|| self.from.iter().map(ImageRef::to_string).collect())
    }
}
