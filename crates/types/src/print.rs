//! Writes types as a person would.

use std::fmt::{self, Write as _};

use crate::ty::{Index, Literal, Member, Type};

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Never => f.write_str("never"),
            Self::Null => f.write_str("null"),
            Self::Undefined => f.write_str("undefined"),
            Self::Boolean => f.write_str("boolean"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Literal(Literal::String(text)) => f.write_str(&quoted(text)),
            Self::Literal(Literal::Number(number)) => f.write_str(number),
            Self::Literal(Literal::Boolean(value)) => write!(f, "{value}"),
            Self::Array(of) if matches!(**of, Self::Union(_) | Self::Intersection(_)) => write!(f, "({of})[]"),
            Self::Array(of) => write!(f, "{of}[]"),
            Self::Tuple(types) => write!(f, "[{}]", joined(types, ", ")),
            Self::Object(members, index) => object(f, members, index.as_deref()),
            Self::Union(types) => f.write_str(&within(types, " | ", |ty| matches!(ty, Self::Intersection(_)))),
            Self::Intersection(types) => f.write_str(&within(types, " & ", |ty| matches!(ty, Self::Union(_)))),
            Self::Named(name, arguments) if arguments.is_empty() => f.write_str(name),
            Self::Named(name, arguments) => write!(f, "{name}<{}>", joined(arguments, ", ")),
            Self::Function(payload, reply) => write!(f, "(payload: {payload}) => {reply}"),
        }
    }
}

fn joined(types: &[Type], between: &str) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(between)
}

fn within(types: &[Type], between: &str, needs: impl Fn(&Type) -> bool) -> String {
    let one = |ty| if needs(ty) { format!("({ty})") } else { ty.to_string() };
    types.iter().map(one).collect::<Vec<_>>().join(between)
}

fn object(f: &mut fmt::Formatter<'_>, members: &[Member], index: Option<&Index>) -> fmt::Result {
    if members.is_empty() && index.is_none() {
        return f.write_str("{}");
    }
    let members = members.iter().map(member).chain(index.map(index_of));
    write!(f, "{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

/// A member without what follows it.
pub(crate) fn member(member: &Member) -> String {
    let Member { name, optional, ty, .. } = member;
    let mark = if *optional { "?" } else { "" };
    let name = name_of(name);
    match ty {
        Type::Function(payload, reply) => format!("{name}{mark}(payload: {payload}): {reply}"),
        _ => format!("{name}{mark}: {ty}"),
    }
}

pub(crate) fn index_of(index: &Index) -> String {
    let Index { key, optional, value } = index;
    format!("[key in {key}]{}: {value}", if *optional { "?" } else { "" })
}

/// The name of a member, in quotes where it needs them.
fn name_of(name: &str) -> String {
    let is_plain = !name.is_empty()
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '$');
    if is_plain { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A documentation comment in front of something, or nothing.
pub(crate) fn docs(out: &mut String, docs: Option<&str>, indent: &str) {
    let Some(docs) = docs.filter(|docs| !docs.is_empty()) else { return };
    // What would end the comment ends the sentence.
    let docs = docs.replace("*/", "* /");
    if docs.contains('\n') {
        let _ = writeln!(out, "{indent}/**");
        for line in docs.lines() {
            let _ = writeln!(out, "{}", format!("{indent} * {line}").trim_end());
        }
        let _ = writeln!(out, "{indent} */");
    } else {
        let _ = writeln!(out, "{indent}/** {docs} */");
    }
}
