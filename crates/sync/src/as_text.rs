//! Numbers as text, for those that JavaScript would round.
//!
//! A page reads every JSON number as a double, in which integers beyond 2^53 (9,007,199,254,740,992)
//! lose their last digits. `#[serde(with = "windlass::as_text")]` on a field sends its text instead:
//! `"9007199254740993"`, which a page can show as it is or give to `BigInt`. It works for whatever
//! has `Display` and `FromStr`; a number that comes in is taken as well as a text.
//!
//! ```
//! # use windlass_sync as windlass;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Row {
//!     #[serde(with = "windlass::as_text")]
//!     id: u64,
//! }
//!
//! let row = Row { id: u64::MAX };
//! let json = serde_json::to_string(&row)?;
//! assert_eq!(json, r#"{"id":"18446744073709551615"}"#);
//! assert_eq!(serde_json::from_str::<Row>(&json)?.id, u64::MAX);
//! assert_eq!(serde_json::from_str::<Row>(r#"{"id":7}"#)?.id, 7);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserializer, Serializer};

/// Serialises a value as its text.
///
/// # Errors
///
/// When the serializer fails.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a value from its text, or from a number that has that text.
///
/// # Errors
///
/// When there is neither, or the text is none of a `T`.
pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Wide<T: std::fmt::Display + std::str::FromStr<Err: std::fmt::Display>> {
        #[serde(with = "super")]
        value: T,
    }

    #[test]
    fn integers_keep_all_their_digits() {
        for value in [i128::MIN, -(1 << 53) - 1, 0, 1 << 53, (1 << 53) + 1, i128::MAX] {
            let json = serde_json::to_string(&Wide { value }).unwrap();
            assert_eq!(json, format!("{{\"value\":\"{value}\"}}"));
            assert_eq!(serde_json::from_str::<Wide<i128>>(&json).unwrap(), Wide { value });
        }
        assert_eq!(serde_json::from_str::<Wide<i64>>(r#"{"value":-7}"#).unwrap().value, -7);
        assert_eq!(serde_json::from_str::<Wide<f64>>(r#"{"value":0.5}"#).unwrap().value, 0.5);
    }

    #[test]
    fn what_is_no_number_says_so() {
        let error = serde_json::from_str::<Wide<u8>>(r#"{"value":"many"}"#).unwrap_err().to_string();
        assert!(error.contains("invalid digit"), "{error}");
        let error = serde_json::from_str::<Wide<u8>>(r#"{"value":null}"#).unwrap_err().to_string();
        assert!(error.contains("a text or a number"), "{error}");
    }
}
