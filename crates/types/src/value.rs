//! Holds a JSON value against a type.

use std::fmt;

use serde_json::Value;

use crate::ty::{Declarations, Literal, Type};

/// Where a value is not what its type says. The type is not that of what serde writes: say it with `#[ts(as = "…")]` or
/// `#[ts(type = "…")]`, and `#[ts(optional)]` for what may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The members on the way, with dots between.
    pub path: String,
    /// What is there.
    pub found: String,
    /// What the type says.
    pub wanted: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, wanted } = self;
        write!(f, "\"{path}\" is {found}, its type says {wanted}")
    }
}

impl Declarations {
    /// The first place where the value is not what the type says. Members that the type does not have are nobody's concern.
    ///
    /// # Errors
    ///
    /// That place.
    pub fn hold(&self, value: &Value, ty: &Type) -> Result<(), Mismatch> {
        self.hold_at(value, ty, "")
    }

    fn hold_at(&self, value: &Value, ty: &Type, path: &str) -> Result<(), Mismatch> {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let wrong =
            |found: &str| Err(Mismatch { path: path.to_owned(), found: found.to_owned(), wanted: ty.to_string() });
        match (self.resolve(ty), value) {
            (Type::Unknown, _) | (Type::Null, Value::Null) | (Type::Boolean, Value::Bool(_)) => Ok(()),
            (Type::Number, Value::Number(_)) | (Type::String, Value::String(_)) => Ok(()),
            (Type::Literal(Literal::String(wanted)), Value::String(text)) if wanted == *text => Ok(()),
            (Type::Literal(Literal::Boolean(wanted)), Value::Bool(is)) if wanted == *is => Ok(()),
            (Type::Literal(Literal::Number(wanted)), Value::Number(number)) if wanted == number.to_string() => Ok(()),
            (Type::Union(types), _) => {
                // The complaint of a union's only object says more than that no part fits.
                let mut complaints: Vec<_> =
                    types.iter().filter_map(|ty| self.hold_at(value, ty, path).err()).collect();
                if complaints.len() < types.len() {
                    return Ok(());
                }
                complaints.retain(|complaint| complaint.path.len() > path.len());
                if complaints.len() == 1 { Err(complaints.swap_remove(0)) } else { wrong(kind(value)) }
            }
            (Type::Array(of), Value::Array(values)) => {
                values.iter().enumerate().try_for_each(|(at, value)| self.hold_at(value, &of, &below(&at.to_string())))
            }
            (Type::Tuple(types), Value::Array(values)) if types.len() == values.len() => {
                let mut both = types.iter().zip(values).enumerate();
                both.try_for_each(|(at, (ty, value))| self.hold_at(value, ty, &below(&at.to_string())))
            }
            (Type::Object(members, index), Value::Object(values)) => {
                for member in &members {
                    match values.get(&member.name) {
                        Some(value) => self.hold_at(value, &member.ty, &below(&member.name))?,
                        None if member.optional => {}
                        None => {
                            let (path, wanted) = (below(&member.name), member.ty.to_string());
                            return Err(Mismatch { path, found: "missing".to_owned(), wanted });
                        }
                    }
                }
                let Some(index) = index else { return Ok(()) };
                let mut others = values.iter().filter(|(name, _)| members.iter().all(|member| member.name != **name));
                others.try_for_each(|(name, value)| self.hold_at(value, &index.value, &below(name)))
            }
            _ => wrong(kind(value)),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_held_against_its_type_and_the_place_is_told() {
        let mut all = Declarations::default();
        all.add("type Row = { id: number, title?: string, kind: \"a\" | \"b\", };", None).unwrap();
        all.add(
            "type Page = { rows: Array<Row>, by: { [key in string]: Row } | null, pair: [number, string], };",
            None,
        )
        .unwrap();
        let row = json!({ "id": 1, "kind": "a", "more": true });
        let page = |change: &dyn Fn(&mut Value)| {
            let mut value = json!({ "rows": [row, row], "by": { "x": row }, "pair": [1, "x"] });
            change(&mut value);
            all.hold(&value, &"Page".parse().unwrap()).map_err(|mismatch| mismatch.to_string())
        };
        assert_eq!(page(&|_| {}), Ok(()));
        assert_eq!(page(&|page| page["by"] = Value::Null), Ok(()));
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 6] = [
            (|page| page["rows"][1]["id"] = json!("1"), "\"rows.1.id\" is a text, its type says number"),
            (|page| page["rows"][0]["kind"] = json!("c"), "\"rows.0.kind\" is a text, its type says \"a\" | \"b\""),
            (|page| page["by"]["x"]["id"] = json!(null), "\"by.x.id\" is null, its type says number"),
            (|page| page["pair"] = json!([1]), "\"pair\" is a list, its type says [number, string]"),
            (|page| page["rows"] = json!({}), "\"rows\" is an object, its type says Row[]"),
            (
                |page| drop(page.as_object_mut().unwrap().remove("pair")),
                "\"pair\" is missing, its type says [number, string]",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(page(&change), Err(message.to_owned()));
        }
    }
}
