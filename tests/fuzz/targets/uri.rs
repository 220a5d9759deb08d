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
    let address = Address::read(text);
    assert!(address.as_str().ends_with(address.rest()));
    match address.recognised() {
        Ok(uri) => {
            // Neither scheme nor tag is part of the repository.
            let repository = uri.to_string();
            assert_eq!(repository.parse::<RegistryUri>().expect("a repository"), *uri);
            assert_eq!(uri.image().to_string(), repository);
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
    if let Ok(destination) = address.destination() {
        assert!(destination.warned || !address.is_tagged());
        assert!(destination.warned || address.repository().is_ok());
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
