//! Addresses of registries and stores say themselves back, and what is accepted as a
//! destination is fit to push to.
#![no_main]

use launch_config::environment::{Ambient, Arn};
use launch_config::registry::{Address, Registry, RegistryUri};
use launch_config::store::StoreUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<RegistryUri>() {
        assert_eq!(
            uri.to_string()
                .parse::<RegistryUri>()
                .expect("it was shown"),
            uri
        );
        assert!(uri.is_recognised() || uri.region().is_none());
    }
    match text.parse::<Address>() {
        Ok(address) => {
            assert_eq!(
                address
                    .to_string()
                    .parse::<Address>()
                    .expect("it was shown"),
                address
            );
            if let Ok(destination) = address.destination() {
                assert!(destination.uri.has_image_name());
                assert!(destination.warned || address.suffix().is_none());
            }
            // Neither scheme nor tag is part of the repository.
            let repository = address.uri().to_string();
            assert_eq!(
                repository.parse::<RegistryUri>().expect("a repository"),
                *address.uri()
            );
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
    match text.parse::<StoreUri>() {
        Ok(store) => assert_eq!(store.to_string(), text),
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
    if let Ok(arn) = text.parse::<Arn>() {
        assert!(text.starts_with("arn:") && !arn.partition().is_empty());
    }
    if let Ok(registry) = Registry::of_destination(text, &Ambient::default()) {
        assert!(
            registry
                .repository()
                .is_none_or(RegistryUri::has_image_name)
        );
    }
});
