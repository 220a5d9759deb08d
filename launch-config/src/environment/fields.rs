//! A block's fields, as the agents of W&B read them: null is as good as absent.

use serde_json::{Map, Value};

use super::{Block, BlockError};

/// A block that is there and not empty.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    block: Block,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// `None` for a block that is absent or empty.
    pub(crate) fn open(block: Block, value: Option<&'a Value>) -> Result<Option<Self>, BlockError> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) if map.is_empty() => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { block, map })),
            Some(_) => Err(BlockError::NotAMapping(block)),
        }
    }

    /// Whether the key is there, with null or with something.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, BlockError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(BlockError::Kind(self.block, key, "a text")),
        }
    }

    /// A text, if it is there and not empty; digits may be a number to YAML.
    pub(crate) fn number_or_text(&self, key: &'static str) -> Result<Option<String>, BlockError> {
        match self.get(key) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.given(key)?.map(str::to_owned)),
        }
    }

    /// A text that is there and not empty.
    pub(crate) fn required(&self, key: &'static str) -> Result<&'a str, BlockError> {
        self.given(key)?.ok_or(BlockError::Missing(self.block, key))
    }

    /// A text, if it is there and not empty.
    pub(crate) fn given(&self, key: &'static str) -> Result<Option<&'a str>, BlockError> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// Refuses keys that are not listed.
    pub(crate) fn only(&self, keys: &[&str]) -> Result<(), BlockError> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(BlockError::UnknownKey(self.block, key.clone())),
            None => Ok(()),
        }
    }
}
