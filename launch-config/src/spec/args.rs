//! `resource_args`: what a queue says about the place where its runs go.

use serde_json::{Map, Value};

use crate::fields::kind;
use crate::image::{ImageRef, ParseImageError};

/// The key of the part that is about building, not about running.
pub(super) const BUILDER: &str = "builder";

/// What a queue says about images: `builder` below the resource's args.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct BuilderArgs {
    /// `accelerator.base_image`, or the older `cuda.base_image`: what a generated Dockerfile
    /// starts from.
    pub accelerator: Option<ImageRef>,
    /// `base_image`: the image a job runs in when nothing builds images.
    pub base_image: Option<ImageRef>,
    /// The block as it was written.
    pub block: Map<String, Value>,
}

/// Why a `builder` block cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuilderArgsError {
    /// A value of it is of another type.
    #[error("`{key}`: expected {expected}, found {found}")]
    Type {
        /// The key, below the resource's args.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// An image of it is no image reference.
    #[error("`{key}` names no image")]
    Image {
        /// The key, below the resource's args.
        key: String,
        /// What is wrong with the image.
        source: ParseImageError,
    },
}

impl BuilderArgs {
    /// Reads the `builder` block of one resource's args; `null` counts as absent.
    ///
    /// # Errors
    /// [`BuilderArgsError`] for values of another type and images that are none.
    pub fn of(args: &Value) -> Result<Self, BuilderArgsError> {
        let empty = Map::new();
        let block = mapping(args.get(BUILDER), BUILDER)?.unwrap_or(&empty);
        let below = |key: &str| -> Result<_, BuilderArgsError> {
            let inner = mapping(block.get(key), &format!("{BUILDER}.{key}"))?;
            let path = format!("{BUILDER}.{key}.base_image");
            image(inner.and_then(|inner| inner.get("base_image")), &path)
        };
        let (accelerator, cuda) = (below("accelerator")?, below("cuda")?);
        Ok(Self {
            accelerator: accelerator.or(cuda),
            base_image: image(block.get("base_image"), "builder.base_image")?,
            block: block.clone(),
        })
    }
}

fn wrong(key: &str, expected: &'static str, found: &Value) -> BuilderArgsError {
    let (key, found) = (key.to_owned(), kind(found));
    BuilderArgsError::Type {
        key,
        expected,
        found,
    }
}

fn mapping<'a>(
    value: Option<&'a Value>,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>, BuilderArgsError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(wrong(key, "a mapping", other)),
    }
}

fn image(value: Option<&Value>, key: &str) -> Result<Option<ImageRef>, BuilderArgsError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let parsed = text.parse().map(Some);
            let key = key.to_owned();
            parsed.map_err(|source| BuilderArgsError::Image { key, source })
        }
        Some(other) => Err(wrong(key, "a text", other)),
    }
}

/// The args without the part that is about building.
pub(super) fn without_builder(args: &Value) -> Value {
    let mut args = args.clone();
    if let Value::Object(map) = &mut args {
        map.shift_remove(BUILDER);
    }
    args
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accelerator(block: &Value) -> Option<String> {
        let args = BuilderArgs::of(&json!({ "builder": block })).unwrap();
        args.accelerator.map(|image| image.to_string())
    }

    #[test]
    fn the_accelerator_goes_before_the_older_cuda() {
        let cuda = json!({"cuda": {"base_image": "c:1"}});
        assert_eq!(accelerator(&cuda).unwrap(), "c:1");
        let both = json!({"accelerator": {"base_image": "a:1"}, "cuda": {"base_image": "c:1"}});
        assert_eq!(accelerator(&both).unwrap(), "a:1");
        for nothing in [
            json!(null),
            json!({"accelerator": null}),
            json!({"cuda": {}}),
        ] {
            assert_eq!(accelerator(&nothing), None);
        }
    }

    #[test]
    fn what_is_no_image_says_where() {
        for (block, word) in [
            (
                json!({"accelerator": {"base_image": ["a"]}}),
                "builder.accelerator.base_image",
            ),
            (json!({"base_image": "--rm"}), "builder.base_image"),
            (json!([]), "expected a mapping, found a list"),
        ] {
            let error = BuilderArgs::of(&json!({ "builder": block })).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
