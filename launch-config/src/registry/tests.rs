//! Addresses of every kind, and what holds for every text.

use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> RegistryUri {
    Address::read(text).recognised().unwrap().clone()
}

#[test]
fn registries_are_recognised_by_their_hosts() {
    type Is = fn(&RegistryUri) -> bool;
    let cases: [(Is, &[&str]); 4] = [
        (
            |uri| matches!(uri, RegistryUri::Ecr(_)),
            &[
                "1.dkr.ecr.us-east-1.amazonaws.com/a/b",
                "1.dkr.ecr.cn-north-1.amazonaws.com.cn/a",
                "1.dkr.ecr-fips.us-gov-east-1.amazonaws.com/a",
            ],
        ),
        (
            |uri| matches!(uri, RegistryUri::ArtifactRegistry(_)),
            &[
                "us-docker.pkg.dev/p/r/i",
                "us-docker.pkg.dev/p/r/i/j.k",
                "us-docker.pkg.dev/example.com/p/r/i",
                "us-docker.pkg.dev/p/r",
                "gcr.io/p/i",
                "eu.gcr.io/example.com/p/i/j",
            ],
        ),
        (
            |uri| matches!(uri, RegistryUri::Acr(_)),
            &[
                "reg.azurecr.io/a",
                "reg-a1b2.azurecr.io/a/b.c",
                "reg.azurecr.us/a",
                "reg.azurecr.cn/a",
            ],
        ),
        (
            |uri| matches!(uri, RegistryUri::Other(_)),
            &[
                "1.dkr.ecr.us-east-1.amazonaws.com.evil.io/a",
                "1.dkr.ecr.us-east-1.amazonaws.com:443/a",
                "evil.1.dkr.ecr.us-east-1.amazonaws.com/a",
                "public.ecr.aws/a/b",
                "us-docker.pkg.dev/p",
                "docker.pkg.dev/p/r/i",
                "us.data.azurecr.io/a",
                "evil.gcr.io/p/i",
                "acme/models",
                "localhost:5000/a",
            ],
        ),
    ];
    for (is, texts) in cases {
        for text in texts {
            assert!(is(&uri(text)), "{text}");
            assert_eq!(uri(text).to_string(), *text);
        }
    }
}

#[test]
fn a_recognised_destination_has_an_image_name_and_no_tag() {
    let check = |text: &str| Address::read(text).destination();
    assert!(!check("https://reg.azurecr.io/a").unwrap().warned);
    let other = check("localhost:5000/a:dev").unwrap();
    assert!(other.warned);
    assert_eq!(uri("localhost:5000/a:dev").to_string(), "localhost:5000/a");
    let tagged = "reg.azurecr.io/a/b:v1".to_owned();
    assert_eq!(check(&tagged), Err(AddressError::Tagged(tagged)));
    let short = "us-docker.pkg.dev/p/r".to_owned();
    assert_eq!(check(&short), Err(AddressError::NoImageName(short)));
    let error = check("us-docker.pkg.dev/p/r:v1").unwrap_err();
    assert!(matches!(error, AddressError::Tagged(_)));
}

#[test]
fn the_parts_are_those_of_the_address() {
    let RegistryUri::ArtifactRegistry(registry) = uri("us-docker.pkg.dev/example.com/p/r/i/j")
    else {
        panic!("of another kind");
    };
    assert_eq!(registry.project(), "example.com/p");
    assert_eq!(
        (registry.repository(), registry.image()),
        ("r", Some("i/j"))
    );
    let RegistryUri::ArtifactRegistry(registry) = uri("eu.gcr.io/p/i") else {
        panic!("of another kind");
    };
    assert_eq!(registry.region(), "europe");
    assert_eq!(registry.repository(), "eu.gcr.io");
    let china = Ecr::of_parts("1", "cn-north-1", "a/b").unwrap();
    assert_eq!(china.partition(), Partition::China);
    assert_eq!(
        china.to_string(),
        "1.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b"
    );
    let wrong = [
        ("1", "r", "a:b"),
        ("1/2", "r", "a"),
        ("1", "r.x", "a"),
        ("", "r", "a"),
        ("1", "r", "A"),
    ];
    for (account, region, repository) in wrong {
        assert_eq!(Ecr::of_parts(account, region, repository), None);
    }
    assert_eq!(ArtifactRegistry::of_parts("us", "p", "r/s", "i"), None);
    assert_eq!(ArtifactRegistry::of_parts("us", "p", "r", ""), None);
}

#[test]
fn what_no_image_is_called_is_of_an_unknown_kind() {
    for text in [
        "",
        "A/B",
        "s3://b/k",
        "http://reg.azurecr.io/a",
        "https://https://a.io/b",
        "a b",
        "a:",
        "a/",
        "reg.azurecr.io/",
        "1.dkr.ecr.us-east-1.amazonaws.com//a",
        "us-docker.pkg.dev/example.com:p/r/i",
    ] {
        let address = Address::read(text);
        let error = address.repository().unwrap_err();
        assert!(matches!(error, AddressError::NotAnImage { .. }), "{text}");
        assert!(address.destination().unwrap().warned, "{text}");
        assert!(text.parse::<RegistryUri>().is_err(), "{text}");
    }
}

#[test]
fn behind_a_known_repository_stands_nothing() {
    for (text, rest, refused) in [
        ("reg.azurecr.io/a:", ":", false),
        ("1.dkr.ecr.us-east-1.amazonaws.com/a:", ":", false),
        ("us-docker.pkg.dev/p/r/i:", ":", true),
        ("reg.azurecr.io/a/", "/", true),
        ("reg.azurecr.io/a:v1:v2", ":v1:v2", true),
        ("1.dkr.ecr.us-east-1.amazonaws.com/a b", " b", true),
        ("1.dkr.ecr.us-east-1.amazonaws.com/a:v/x", ":v/x", true),
    ] {
        let address = Address::read(text);
        assert_eq!(address.rest(), rest, "{text}");
        assert_eq!(address.destination().is_err(), refused, "{text}");
    }
}

#[test]
fn ecr_without_dkr_is_ecr() {
    let text = "123456789012.ecr.us-east-1.amazonaws.com/a/b";
    let with = "123456789012.dkr.ecr.us-east-1.amazonaws.com/a/b";
    assert_eq!(uri(text).to_string(), with);
    assert_eq!(Address::read(text).to_string(), text);
}

const HOST: &str = "[a-z0-9]{1,4}\\.dkr\\.ecr(-fips)?\\.[a-z0-9-]{1,6}\\.amazonaws\\.com(\\.cn)?|\
                    [a-z]{1,4}-docker\\.pkg\\.dev|((us|eu)\\.)?gcr\\.io|[a-z]{1,5}\\.azurecr\\.(io|us|cn)|\
                    [a-z]{1,5}(\\.io|:[1-9][0-9]{2})";

proptest! {
    #[test]
    fn no_text_panics(text in "(https://)?\\PC{0,40}") {
        let address = Address::read(&text);
        let written = text.strip_prefix("https://").unwrap_or(&text);
        prop_assert_eq!(address.to_string(), written);
        prop_assert!(written.ends_with(address.rest()));
    }

    #[test]
    fn addresses_display_themselves_back(
        host in HOST,
        path in "[a-z0-9]{1,4}(\\.com)?(/[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?){0,3}",
        tag in "(:[A-Za-z0-9_]{1,5})?"
    ) {
        let bare = format!("{host}/{path}");
        // A label of a host neither begins nor ends with a dash.
        prop_assume!(bare.parse::<ImageRef>().is_ok());
        let text = format!("{bare}{tag}");
        let address = Address::read(&text);
        let uri = address.recognised().unwrap();
        prop_assert_eq!(address.to_string(), text);
        prop_assert_eq!(uri.to_string(), bare.clone());
        prop_assert_eq!(&bare.parse::<RegistryUri>().unwrap(), uri);
        let refused = address.destination().is_err();
        let known = uri.is_recognised();
        let whole = tag.is_empty() && uri.has_image_name();
        prop_assert_eq!(refused, known && !whole);
    }
}
