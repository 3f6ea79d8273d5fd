//! What identifies a cell: its settings, whole and in one form.

use std::fmt;

pub use robin_files::checksum::{sha256, sha256_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// SHA-256 over the canonical JSON of a cell's settings, 64 hexadecimal digits.
///
/// Nothing else is one: a key is the name of a file, and may come out of a file that anybody has written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key(String);

impl Key {
    /// The key of `settings`; the order in which its fields were written does not matter.
    pub fn of(settings: &Value) -> Self {
        let mut text = Vec::with_capacity(4096);
        canonical(settings, &mut text);
        Self(sha256(&text))
    }

    /// The key that `text` is, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (digits && text.len() == 64).then(|| Self(text.to_owned()))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no key: 64 hexadecimal digits"))
    }
}

impl From<Key> for String {
    fn from(Key(digits): Key) -> Self {
        digits
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Writes `value` as JSON without blanks, the fields of every object in alphabetical order.
fn canonical(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push(b'{');
            for (place, (name, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                plain(name, text);
                text.push(b':');
                canonical(value, text);
            }
            text.push(b'}');
        }
        Value::Array(items) => {
            text.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                canonical(item, text);
            }
            text.push(b']');
        }
        other => plain(other, text),
    }
}

/// Writes a text, number or word as JSON, without a copy of it: a cluster's plan has millions of them.
fn plain(value: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("a plain value is JSON, and memory takes it");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_ignores_order_and_nothing_else() {
        let key = Key::of(&json!({"a": 1, "b": {"c": [1, 2], "d": null}}));
        assert_eq!(key, Key::of(&json!({"b": {"d": null, "c": [1, 2]}, "a": 1})));
        for other in [
            json!({"a": 1, "b": {"c": [2, 1], "d": null}}),
            json!({"a": 1, "b": {"c": [1, 2], "d": false}}),
            json!({"a": 1.0, "b": {"c": [1, 2], "d": null}}),
            json!({"a": 1, "b": {"c": [1, 2], "d": null}, "e": null}),
        ] {
            assert_ne!(key, Key::of(&other), "{other}");
        }
    }

    #[test]
    fn the_text_of_a_key_is_json_in_order() {
        let value = json!({"b \"": [1, 2.5, {"d": null, "c": "\u{e9}\n"}], "a": {}, "": [], "B": -1e-7});
        let mut text = Vec::new();
        canonical(&value, &mut text);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"\":[],\"B\":-1e-7,\"a\":{},\"b \\\"\":[1,2.5,{\"c\":\"\u{e9}\\n\",\"d\":null}]}"
        );
    }

    #[test]
    fn nothing_but_a_hash_is_a_key() {
        let key = Key::of(&json!({}));
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
        for wrong in ["", "..", "../../secret", &key.as_str()[1..], &key.as_str().to_uppercase()] {
            assert!(serde_json::from_value::<Key>(wrong.into()).is_err(), "{wrong}");
        }
    }
}
