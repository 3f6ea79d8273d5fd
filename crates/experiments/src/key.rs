//! What identifies a cell: its settings, whole and in one form.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// SHA-256 over the canonical JSON of a cell's settings, 64 hexadecimal digits.
///
/// Nothing else is one: a key is the name of a file, and may come out of a file that anybody has written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key(String);

impl Key {
    /// The key of `settings`; the order in which its fields were written does not matter.
    pub fn of(settings: &Value) -> Self {
        Self(sha256(canonical(settings).to_string().as_bytes()))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 64 {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no key: 64 hexadecimal digits"))
        }
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

/// `value` with the fields of every object in alphabetical order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            Value::Object(
                names.into_iter().map(|name| (name.clone(), canonical(&fields[name]))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        plain => plain.clone(),
    }
}

/// SHA-256 of `bytes` as 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn nothing_but_a_hash_is_a_key() {
        let key = Key::of(&json!({}));
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
        for wrong in ["", "..", "../../secret", &key.as_str()[1..], &key.as_str().to_uppercase()] {
            assert!(serde_json::from_value::<Key>(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sha256_gives_the_published_answer() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
