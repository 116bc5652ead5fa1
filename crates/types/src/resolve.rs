//! What a path leads to.

use crate::ty::{Declarations, Literal, Type};

/// What is found one step further.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A value of that type.
    To(Type),
    /// No value of the type has such a member; those that there are.
    Nothing(Vec<String>),
}

impl Declarations {
    /// The type with its name replaced by what it stands for, as often as it takes. A name that is not declared is unknown.
    #[must_use]
    pub fn resolve(&self, ty: &Type) -> Type {
        self.resolve_within(ty, RESOLVE_MAX)
    }

    fn resolve_within(&self, ty: &Type, left: usize) -> Type {
        match ty {
            Type::Named(name, arguments) => {
                let (Some(declaration), true) = (self.get(name), left > 0) else { return Type::Unknown };
                let argument = |parameter: &str| {
                    let at = declaration.parameters.iter().position(|known| known == parameter)?;
                    Some(arguments.get(at).cloned().unwrap_or(Type::Unknown))
                };
                self.resolve_within(&declaration.ty.substitute(&argument), left - 1)
            }
            Type::Union(types) => Type::union(types.iter().map(|ty| self.resolve_within(ty, left))),
            Type::Intersection(types) => self.distributed(types, left),
            other => other.clone(),
        }
    }

    /// An intersection as one object, or as a union of some.
    fn distributed(&self, types: &[Type], left: usize) -> Type {
        let mut all = vec![Type::Object(Vec::new(), None)];
        for ty in types {
            let parts = match self.resolve_within(ty, left) {
                Type::Union(parts) => parts,
                one => vec![one],
            };
            if all.len() * parts.len() > UNION_MAX {
                return Type::Unknown;
            }
            all = all.iter().flat_map(|one| parts.iter().map(|part| both(one, part))).collect();
        }
        Type::union(all)
    }

    /// The type of a member, which may be there in some of the values only: null and missing ones show as nothing.
    #[must_use]
    pub fn step(&self, ty: &Type, name: &str) -> Step {
        let mut known = Vec::new();
        let mut found = Vec::new();
        let types = match self.resolve(ty) {
            Type::Union(types) => types,
            one => vec![one],
        };
        let mut lacks = false;
        for ty in types {
            match ty {
                Type::Unknown => return Step::To(Type::Unknown),
                Type::Null | Type::Undefined => lacks = true,
                Type::Array(_) | Type::Tuple(_) | Type::String | Type::Literal(Literal::String(_)) => {
                    known.push("length".to_owned());
                    if name == "length" {
                        found.push(Type::Number);
                    }
                }
                Type::Object(members, index) => {
                    let member = members.iter().find(|member| member.name == name);
                    known.extend(members.iter().map(|member| member.name.clone()));
                    match (member, index) {
                        (Some(member), _) => {
                            lacks |= member.optional;
                            found.push(member.ty.clone());
                        }
                        (None, Some(index)) => {
                            lacks = true;
                            match self.keys(&index.key) {
                                Some(keys) if !keys.iter().any(|key| key == name) => known.extend(keys),
                                _ => found.push(index.value.clone()),
                            }
                        }
                        (None, None) => lacks = true,
                    }
                }
                _ => lacks = true,
            }
        }
        if found.is_empty() {
            return Step::Nothing(known);
        }
        if lacks {
            found.push(Type::Undefined);
        }
        Step::To(Type::union(found))
    }

    /// The names of a map's keys, when they are those of an enum.
    fn keys(&self, key: &Type) -> Option<Vec<String>> {
        let parts = match self.resolve(key) {
            Type::Union(parts) => parts,
            one => vec![one],
        };
        parts
            .into_iter()
            .map(|part| if let Type::Literal(Literal::String(text)) = part { Some(text) } else { None })
            .collect()
    }

    /// The type of the elements of a list; none when it cannot be one. What may be null or missing shows no rows.
    #[must_use]
    pub fn element(&self, ty: &Type) -> Option<Type> {
        let parts = match self.resolve(ty) {
            Type::Union(parts) => parts,
            one => vec![one],
        };
        let mut elements = Vec::new();
        for part in parts {
            match part {
                Type::Unknown => return Some(Type::Unknown),
                Type::Array(of) => elements.push(*of),
                Type::Tuple(types) => elements.extend(types),
                Type::Null | Type::Undefined => {}
                _ => return None,
            }
        }
        (!elements.is_empty()).then(|| Type::union(elements))
    }

    /// Whether a value of the first type may be one of the second: false only when none can be.
    ///
    /// A number that may be null, as an empty field of a form sends it, may be a number; a text never is. What is left
    /// out of an object may not be a member that has to be there.
    #[must_use]
    pub fn may_be(&self, value: &Type, wanted: &Type) -> bool {
        self.may_be_within(value, wanted, RESOLVE_MAX)
    }

    fn may_be_within(&self, value: &Type, wanted: &Type, left: usize) -> bool {
        if left == 0 {
            return true;
        }
        let within = |value: &Type, wanted: &Type| self.may_be_within(value, wanted, left - 1);
        match (self.resolve(value), self.resolve(wanted)) {
            (Type::Unknown, _) | (_, Type::Unknown) => true,
            (Type::Union(values), wanted) => values.iter().any(|value| within(value, &wanted)),
            (value, Type::Union(all)) => all.iter().any(|wanted| within(&value, wanted)),
            // What shows as nothing is sent as null.
            (Type::Null | Type::Undefined, Type::Null | Type::Undefined) => true,
            (Type::Literal(value), Type::Literal(wanted)) => value == wanted,
            (
                Type::Boolean | Type::Literal(Literal::Boolean(_)),
                Type::Boolean | Type::Literal(Literal::Boolean(_)),
            )
            | (Type::Number | Type::Literal(Literal::Number(_)), Type::Number | Type::Literal(Literal::Number(_)))
            | (Type::String | Type::Literal(Literal::String(_)), Type::String | Type::Literal(Literal::String(_))) => {
                true
            }
            (Type::Array(value), Type::Array(wanted)) => {
                // An empty list is one of anything.
                let _ = (value, wanted);
                true
            }
            (Type::Array(_), Type::Tuple(_)) => true,
            (Type::Tuple(values), Type::Array(wanted)) => values.iter().all(|value| within(value, &wanted)),
            (Type::Tuple(values), Type::Tuple(all)) => {
                values.len() == all.len() && values.iter().zip(&all).all(|(value, wanted)| within(value, wanted))
            }
            (Type::Object(values, more), Type::Object(all, _)) => {
                all.iter().all(|wanted| match values.iter().find(|value| value.name == wanted.name) {
                    Some(value) => within(&value.ty, &wanted.ty),
                    None => wanted.optional || more.is_some() || within(&Type::Undefined, &wanted.ty),
                })
            }
            _ => false,
        }
    }
}

/// An object with the members of both.
fn both(one: &Type, other: &Type) -> Type {
    match (one, other) {
        (Type::Object(ours, index), Type::Object(theirs, more)) => {
            Type::Object(ours.iter().chain(theirs).cloned().collect(), index.clone().or_else(|| more.clone()))
        }
        (Type::Object(members, None), other) if members.is_empty() => other.clone(),
        _ => Type::Unknown,
    }
}

/// A name that stands for a name, and so on: nobody writes more, and one that stands for itself ends.
const RESOLVE_MAX: usize = 32;
/// An intersection of unions grows by the product; beyond this it is unknown.
const UNION_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn declarations() -> Declarations {
        let mut all = Declarations::default();
        for text in [
            "type Row = { id: number, title: string | null, more?: Row, };",
            "type Gen<T> = { of: Array<T>, };",
            r#"type Tag = { a: number, } & ({ "type": "x", x: number, } | { "type": "y" });"#,
            r#"type Kind = "red" | "blue";"#,
            "type Maps = { by_kind: { [key in Kind]?: Row }, by_name: { [key in string]: number } };",
            "type Loop = Loop;",
            "type Tree = { kids: Array<Tree>, };",
        ] {
            all.add(text, None).unwrap();
        }
        all
    }

    #[test]
    fn a_path_leads_where_the_types_say() {
        let all = declarations();
        let walk = |ty: &str, path: &str| {
            path.split('.').try_fold(ty.parse::<Type>().unwrap(), |ty, name| match all.step(&ty, name) {
                Step::To(ty) => Ok(ty),
                Step::Nothing(known) => Err(known.join(" ")),
            })
        };
        for (ty, path, found) in [
            ("Row", "title", Ok("string | null")),
            ("Row", "title.length", Ok("number | undefined")),
            ("Row", "more.id", Ok("number | undefined")),
            ("Row", "titel", Err("id title more")),
            ("Row | null", "id", Ok("number | undefined")),
            ("Gen<Row>", "of.length", Ok("number")),
            ("Gen<Row>", "of", Ok("Row[]")),
            ("Tag", "type", Ok(r#""x" | "y""#)),
            ("Tag", "x", Ok("number | undefined")),
            ("Tag", "z", Err("a type x a type")),
            ("Maps", "by_kind.red.id", Ok("number | undefined")),
            ("Maps", "by_kind.green", Err("red blue")),
            ("Maps", "by_name.anything", Ok("number | undefined")),
            ("Loop", "a.b", Ok("unknown")),
            ("Missing", "a", Ok("unknown")),
            ("number", "a", Err("")),
        ] {
            let expected = found.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(walk(ty, path).map(|ty| ty.to_string()), expected, "{ty} {path}");
        }
    }

    #[test]
    fn lists_have_elements_and_others_none() {
        let all = declarations();
        for (ty, element) in [
            ("Row[]", Some("Row")),
            ("Row[] | null", Some("Row")),
            ("[number, string]", Some("number | string")),
            ("Row", None),
            ("{ [key in string]: number }", None),
            ("null", None),
            ("unknown", Some("unknown")),
        ] {
            assert_eq!(all.element(&ty.parse().unwrap()).map(|ty| ty.to_string()).as_deref(), element, "{ty}");
        }
    }

    #[test]
    fn only_what_no_value_can_be_is_refused() {
        let all = declarations();
        for (value, wanted, may) in [
            ("number | null", "number", true),
            ("string", "number", false),
            ("string", "Kind", true),
            ("\"green\"", "Kind", false),
            ("\"red\"", "Kind", true),
            ("null", "number", false),
            ("undefined", "number | null", true),
            ("{ id: number }", "Row", true),
            ("{ title: string }", "Row", false),
            ("{ id: string, title: null }", "Row", false),
            ("{ id: number, title: string, other: boolean }", "Row", true),
            ("Row[]", "Row[]", true),
            ("[number, string]", "[number, string]", true),
            ("[number]", "[number, string]", false),
            ("Tree", "Tree", true),
            ("boolean", "true", true),
            ("Row", "number", false),
        ] {
            assert_eq!(all.may_be(&value.parse().unwrap(), &wanted.parse().unwrap()), may, "{value} as {wanted}");
        }
    }
}
