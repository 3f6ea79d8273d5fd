//! JSON in which no object has a name twice.
//!
//! The grammar allows it and readers differ in which value they take, so that two programs may read two records in one
//! file. Here such a text is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Reads `text`.
///
/// # Errors
/// With line and column, if it is no JSON, has a name twice, or is no `T`.
pub fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    check(text, usize::MAX)?;
    serde_json::from_str(text)
}

/// Refuses `text` if it is no JSON, if an object has a name twice, or if there are more than `most` items and fields in
/// all.
///
/// # Errors
/// With line and column.
pub fn check(text: &str, most: usize) -> serde_json::Result<()> {
    let mut left = most;
    let mut reader = serde_json::Deserializer::from_str(text);
    Once { left: &mut left, most }.deserialize(&mut reader)?;
    reader.end()
}

/// Reads a value and keeps nothing of it but the names of its objects, while they are read.
struct Once<'a> {
    left: &'a mut usize,
    most: usize,
}

impl Once<'_> {
    fn again(&mut self) -> Once<'_> {
        Once { left: self.left, most: self.most }
    }

    /// Takes one of the items that are left.
    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        *self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("more than {} items and fields", self.most)))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.again())?.is_some() {
            self.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.count()?;
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("{name:?} stands there twice")));
            }
            seen.insert(name);
            fields.next_value_seed(self.again())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_name_twice_is_refused_at_every_depth() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"c":2,"b":3}}"#, r#"[0,[{"x":[]},{"y":null,"\u0079":2}]]"#]
        {
            let message = parse::<Value>(text).unwrap_err().to_string();
            assert!(message.contains("stands there twice") && message.contains("line 1"), "{message}");
        }
    }

    #[test]
    fn what_has_each_name_once_is_read() {
        let text = r#"{"a":{"a":[1,-2,3.5,true,null,"a"]},"b":{"a":{}}}"#;
        assert_eq!(parse::<Value>(text).unwrap().to_string(), text);
        for text in ["", "{", "[1,]", "1 2", r#"{"a"}"#, "nul"] {
            assert!(parse::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn items_and_fields_are_counted() {
        let text = r#"{"a":[1,2],"b":[]}"#;
        check(text, 4).unwrap();
        let message = check(text, 3).unwrap_err().to_string();
        assert!(message.contains("more than 3 items"), "{message}");
    }
}
