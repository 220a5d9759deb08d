//! The identity of an image before it is built.
//!
//! SHA-256 over fields, each written as its length (eight bytes, big-endian) and its bytes:
//! the name of this format, the recipe version, the context's digest, the Dockerfile's text,
//! the platform (empty if none), then the number of build arguments and each one's name and
//! value in order of name, then the number of base images and each one's reference and digest
//! (empty if not known) in order of appearance. Numbers are written in decimal.

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use super::{Plan, RECIPE_VERSION};

const FORMAT: &str = "launch image tag";

pub(super) fn tag(plan: &Plan, context: Digest) -> String {
    let mut fields = Fields(Sha256::new());
    fields.text(FORMAT);
    fields.text(&RECIPE_VERSION.to_string());
    fields.text(&context.to_string());
    fields.text(&plan.dockerfile.text);
    fields.text(plan.platform.as_deref().unwrap_or_default());
    fields.text(&plan.build_args.len().to_string());
    for (name, value) in &plan.build_args {
        fields.text(name);
        fields.text(value);
    }
    fields.text(&plan.bases.len().to_string());
    for base in &plan.bases {
        fields.text(&base.reference);
        fields.text(
            &base
                .digest
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
        );
    }
    Digest::from_sha256(fields.0.finalize().into()).to_hex()
}

struct Fields(Sha256);

impl Fields {
    fn text(&mut self, text: &str) {
        let length = u64::try_from(text.len()).expect("lengths fit in 64 bits");
        self.0.update(length.to_be_bytes());
        self.0.update(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{BuildSpec, Plan, plan};
    use crate::source::SourceTree;
    use launch_config::image::Digest;

    fn planned(spec: &BuildSpec) -> Plan {
        let project = tempfile::tempdir().unwrap();
        fs_err::write(project.path().join("train.py"), "").unwrap();
        plan(&SourceTree::open(project.path()).unwrap(), spec).unwrap()
    }

    #[test]
    fn everything_that_makes_an_image_makes_its_tag() {
        let context = Digest::from_sha256([7; 32]);
        let spec = BuildSpec::new;
        let plain = planned(&spec());
        let mut tags = vec![
            plain.tag(context),
            plain.tag(Digest::from_sha256([8; 32])),
            planned(&spec().with_platform("linux/arm64")).tag(context),
            planned(&spec().with_build_arg("A", "1")).tag(context),
            planned(&spec().with_build_arg("A", "2")).tag(context),
            planned(&spec().with_python_version("3.11")).tag(context),
            planned(&spec().with_user_id(7)).tag(context),
            plain
                .clone()
                .with_base_digest("python:3.12-slim", context)
                .tag(context),
        ];
        let count = tags.len();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), count);
        assert!(tags.iter().all(|tag| tag.len() == 64));
    }

    #[test]
    fn where_a_source_lies_is_not_part_of_its_tag() {
        let context = Digest::from_sha256([7; 32]);
        assert_eq!(
            planned(&BuildSpec::new()).tag(context),
            planned(&BuildSpec::new()).tag(context)
        );
    }

    /// Computed apart, from the recipe's description: a change here is a new recipe version.
    #[test]
    fn the_tag_is_the_documented_one() {
        let mut plan = planned(&BuildSpec::new().with_platform("linux/amd64"));
        plan.dockerfile.text = "FROM scratch\n".to_owned();
        plan.bases.clear();
        plan.build_args.insert("A".to_owned(), "b".to_owned());
        let expected = "832e7620c75e8dc30ddae4afc0af06760182e6b9f3c45d5628218685cf9fa854";
        assert_eq!(plan.tag(Digest::from_sha256([0; 32])), expected);
    }
}
