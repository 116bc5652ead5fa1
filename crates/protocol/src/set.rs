//! What a page writes into a declared field: the payload of the built-in action `$set`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One write of a page into a field of the state. See protocol.md section 8.
///
/// ```
/// use windlass_protocol::{Place, Set};
///
/// let set: Set = serde_json::from_str(r#"{"path":["todos",{"id":7},"text"],"value":"milk"}"#).unwrap();
/// assert!(set.is(&[Place::Member("todos"), Place::Row("id"), Place::Member("text")]));
/// assert!(!set.is(&[Place::Member("todos"), Place::Member("text"), Place::Row("id")]));
/// assert_eq!(set.rows().map(|row| row.get()).collect::<Vec<_>>(), ["7"]);
/// assert_eq!(set.to_string(), "todos[id=7].text");
/// ```
#[derive(Debug, Deserialize)]
pub struct Set<'a> {
    /// The way from the state's root to the field.
    #[serde(borrow)]
    pub path: Vec<Step<'a>>,
    /// What to write there.
    #[serde(borrow)]
    pub value: &'a RawValue,
}

/// One step of a path: a member, or a row of a list by the value of its key field, never by its index.
#[derive(Debug)]
pub enum Step<'a> {
    /// A member of an object.
    Member(String),
    /// A row of a list.
    Row {
        /// The name of the field that tells rows apart.
        key: String,
        /// Its value in the row that is meant.
        value: &'a RawValue,
    },
}

/// One step of the path of a field that an app has declared: what a [`Step`] is held against.
///
/// ```
/// use windlass_protocol::Place;
///
/// let text_of_todos = [Place::Member("todos"), Place::Row("id"), Place::Member("text")];
/// # let _ = text_of_todos;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The member of that name.
    Member(&'a str),
    /// Some row of a list, told from the others by the field of that name.
    Row(&'a str),
}

impl Set<'_> {
    /// Whether it goes there: step by step, since a row that stands elsewhere is another path.
    #[must_use]
    pub fn is(&self, declared: &[Place<'_>]) -> bool {
        let goes = |(step, place): (&Step<'_>, &Place<'_>)| match (step, place) {
            (Step::Member(name), Place::Member(declared)) => name == declared,
            (Step::Row { key, .. }, Place::Row(declared)) => key == declared,
            _ => false,
        };
        self.path.len() == declared.len() && self.path.iter().zip(declared).all(goes)
    }

    /// The keys of the rows on the way, the outermost first.
    pub fn rows(&self) -> impl Iterator<Item = &RawValue> {
        self.path.iter().filter_map(|step| match step {
            Step::Row { value, .. } => Some(*value),
            Step::Member(_) => None,
        })
    }
}

/// The path as a person writes it, cut off where it would be too long for a message.
impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Member(name) if text.is_empty() => text.push_str(name),
                Step::Member(name) => text.extend([".", name]),
                Step::Row { key, value } => text.extend(["[", key, "=", value.get(), "]"]),
            }
            if text.len() > SHOWN_MAX {
                let end = (0..=SHOWN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                text.truncate(end);
                text.push('…');
                break;
            }
        }
        f.write_str(&text)
    }
}

/// Longer than any path that an app declares.
const SHOWN_MAX: usize = 256;

impl<'de: 'a, 'a> Deserialize<'de> for Step<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StepVisitor;

        impl<'de> Visitor<'de> for StepVisitor {
            type Value = Step<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step of a path: a name, or an object of one member such as {\"id\":7}")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Step::Member(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let no_key = "a row is named by its key, such as {\"id\":7}";
                let (key, value) = members.next_entry()?.ok_or_else(|| A::Error::custom(no_key))?;
                if members.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom(no_key));
                }
                Ok(Step::Row { key, value })
            }
        }

        from.deserialize_any(StepVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_members_and_rows_by_their_key() {
        let text = r#"{"path":["a",{"k":"x y"},"b",{"k":1}],"value":[1, 2]}"#;
        let set: Set<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(set.to_string(), r#"a[k="x y"].b[k=1]"#);
        assert_eq!(set.value.get(), "[1, 2]");
        let [a, b, k] = [Place::Member("a"), Place::Member("b"), Place::Row("k")];
        assert!(set.is(&[a, k, b, k]) && !set.is(&[a, k, b]) && !set.is(&[a, b, k, k]) && !set.is(&[a, k, b, k, a]));
        assert_eq!(set.rows().map(RawValue::get).collect::<Vec<_>>(), [r#""x y""#, "1"]);
        let set: Set<'_> = serde_json::from_str(r#"{"path":["a","b"],"value":1}"#).unwrap();
        assert!(set.is(&[a, b]) && !set.is(&[a, k, b]) && !set.is(&[a]) && !set.is(&[b, a]));
    }

    #[test]
    fn a_row_counts_only_where_it_stands() {
        let declared = [Place::Member("todos"), Place::Row("id"), Place::Member("text")];
        for (path, is) in [
            (r#"["todos",{"id":7},"text"]"#, true),
            (r#"["todos","text",{"id":7}]"#, false),
            (r#"[{"id":7},"todos","text"]"#, false),
            (r#"["todos",{"id":7},"text",{"id":7}]"#, false),
            (r#"["todos","id","text"]"#, false),
        ] {
            let text = format!(r#"{{"path":{path},"value":1}}"#);
            assert_eq!(serde_json::from_str::<Set<'_>>(&text).unwrap().is(&declared), is, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["1", "null", "{}", "[1]", "[{}]", r#"[{"a":1,"b":2}]"#, "[null]", "[[]]"] {
            assert!(serde_json::from_str::<Set<'_>>(&format!(r#"{{"path":{path},"value":1}}"#)).is_err(), "{path}");
        }
        assert!(serde_json::from_str::<Set<'_>>(r#"{"path":["a"]}"#).is_err(), "a value is needed");
    }

    #[test]
    fn a_long_path_is_cut_where_it_is_shown() {
        let text = format!(r#"{{"path":["{}"],"value":1}}"#, "ä".repeat(9_000));
        assert!(serde_json::from_str::<Set<'_>>(&text).unwrap().to_string().len() < 300);
    }
}
