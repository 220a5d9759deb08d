use serde_json::{Value, json};

use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        fs_err::create_dir_all(scratch.0.path().join("blobs/sha256")).unwrap();
        scratch.file("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }));
        scratch
    }

    fn file(&self, name: &str, value: &Value) {
        fs_err::write(self.0.path().join(name), value.to_string()).unwrap();
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        let path = self.0.path().join("blobs/sha256").join(digest.to_hex());
        fs_err::write(path, bytes).unwrap();
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    fn image(&self, layer: &str) -> Value {
        let layer = self.blob("application/vnd.oci.image.layer.v1.tar", layer.as_bytes());
        let config = self.blob("application/vnd.oci.image.config.v1+json", b"{}");
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    fn index(&self, entries: &[Value]) {
        self.file(
            "index.json",
            &json!({ "schemaVersion": 2, "manifests": entries }),
        );
    }

    fn read(&self) -> Result<Image, Error> {
        read(self.0.path(), &"r.io/a:v2".parse().unwrap())
    }

    fn why(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

#[test]
fn one_image_is_the_image() {
    let scratch = Scratch::new();
    scratch.index(&[scratch.image("x")]);
    let image = scratch.read().unwrap();
    assert_eq!(
        (
            image.layers.len(),
            image.configs.len(),
            image.manifests.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(image.root().media_type, MANIFEST);
}

#[test]
fn of_several_the_one_with_the_tag_is_meant() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.image("1"), scratch.image("2"));
    one["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    two["annotations"] = json!({ "org.opencontainers.image.ref.name": "example.com/x:v2" });
    scratch.index(&[one.clone(), two.clone()]);
    assert_eq!(
        scratch.read().unwrap().root().digest.to_string(),
        two["digest"]
    );
    scratch.index(&[one.clone(), one]);
    assert!(
        scratch.why().contains("none of them by the tag `v2`"),
        "{}",
        scratch.why()
    );
}

#[test]
fn nested_indexes_come_after_their_parts() {
    let scratch = Scratch::new();
    let entries = [scratch.image("a"), scratch.image("b"), scratch.image("a")];
    let index = json!({ "mediaType": media::INDEX, "manifests": entries }).to_string();
    scratch.index(&[scratch.blob(media::INDEX, index.as_bytes())]);
    let image = scratch.read().unwrap();
    assert_eq!(
        (
            image.manifests.len(),
            image.layers.len(),
            image.configs.len()
        ),
        (3, 2, 1)
    );
    assert_eq!(image.root().media_type, media::INDEX);
    assert_eq!(image.root().bytes, index.as_bytes());
}

#[test]
fn digests_lead_nowhere_else() {
    let scratch = Scratch::new();
    let outside = json!({ "mediaType": MANIFEST, "digest": "sha256:../../oci-layout", "size": 2 });
    for digest in [
        "sha256:../../oci-layout",
        "sha512:00",
        "../../../etc/passwd",
        "",
    ] {
        let mut entry = outside.clone();
        entry["digest"] = json!(digest);
        scratch.index(&[entry]);
        assert!(
            scratch.why().contains("is not a SHA-256 digest"),
            "{}",
            scratch.why()
        );
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let scratch = Scratch::new();
    assert!(
        matches!(scratch.read(), Err(Error::Io(_))),
        "without an index"
    );
    let image = scratch.image("x");
    let mut larger = image.clone();
    larger["size"] = json!(5);
    scratch.index(&[larger]);
    assert!(
        scratch.why().contains("bytes instead of 5"),
        "{}",
        scratch.why()
    );
    let digest: Digest = image["digest"].as_str().unwrap().parse().unwrap();
    let path = scratch.0.path().join("blobs/sha256").join(digest.to_hex());
    let text = fs_err::read_to_string(&path)
        .unwrap()
        .replace("\"schemaVersion\":2", "\"schemaVersion\":3");
    fs_err::write(&path, text).unwrap();
    scratch.index(&[image]);
    assert!(
        matches!(scratch.read(), Err(Error::Digest { .. })),
        "{}",
        scratch.why()
    );
}

#[test]
fn what_is_no_layout_is_said_to_be_none() {
    let scratch = Scratch::new();
    scratch.file("oci-layout", &json!({ "imageLayoutVersion": "2.0.0" }));
    assert!(
        scratch.why().contains("version is `2.0.0`"),
        "{}",
        scratch.why()
    );
    scratch.file("index.json", &json!("x"));
    fs_err::remove_file(scratch.0.path().join("oci-layout")).unwrap();
    assert!(
        scratch.why().contains("no file `oci-layout`"),
        "{}",
        scratch.why()
    );
}

#[test]
fn foreign_layers_need_not_be_there() {
    let scratch = Scratch::new();
    let config = scratch.blob("application/vnd.oci.image.config.v1+json", b"{}");
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::from_sha256([3; 32]), "size": 9,
    });
    let manifest = json!({ "config": config, "layers": [foreign] }).to_string();
    scratch.index(&[scratch.blob(MANIFEST, manifest.as_bytes())]);
    assert_eq!(scratch.read().unwrap().layers, []);
}

#[test]
fn indexes_are_not_followed_for_ever() {
    let scratch = Scratch::new();
    let mut inner = scratch.image("x");
    for _ in 0..DEPTH + 2 {
        let index = json!({ "mediaType": media::INDEX, "manifests": [inner] }).to_string();
        inner = scratch.blob(media::INDEX, index.as_bytes());
    }
    scratch.index(&[inner]);
    assert!(
        scratch.why().contains("nested too deeply"),
        "{}",
        scratch.why()
    );
}
