//! An image reference that parses says itself back, and its parts make the whole.
#![no_main]

use launch_config::image::{Digest, ImageRef, PinnedImage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(image) = text.parse::<ImageRef>() {
        let shown = image.to_string();
        assert_eq!(shown.parse::<ImageRef>().expect("it was shown"), image);
        let name = image
            .name()
            .parse::<ImageRef>()
            .expect("a name is a reference");
        assert_eq!(
            (name.host(), name.repository()),
            (image.host(), image.repository())
        );
        let digest = Digest::from_sha256([7; 32]);
        let pinned = image.pin(digest).to_string();
        assert_eq!(
            pinned
                .parse::<PinnedImage>()
                .expect("it was pinned")
                .digest(),
            digest
        );
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
});
