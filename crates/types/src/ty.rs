//! Types as TypeScript has them, as far as what is JSON needs.

use std::collections::BTreeMap;

use crate::ParseError;
use crate::parse::Parser;

/// A type of a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Nothing is known of it.
    Unknown,
    /// There is no such value.
    Never,
    /// `null`.
    Null,
    /// A member that is not there.
    Undefined,
    /// `boolean`.
    Boolean,
    /// `number`, whatever integer or float it was in Rust.
    Number,
    /// `string`.
    String,
    /// One value.
    Literal(Literal),
    /// `T[]`.
    Array(Box<Type>),
    /// `[A, B]`.
    Tuple(Vec<Type>),
    /// `{ a: A, [key in K]: V }`.
    Object(Vec<Member>, Option<Box<Index>>),
    /// `A | B`.
    Union(Vec<Type>),
    /// `A & B`, as a flattened member makes it.
    Intersection(Vec<Type>),
    /// A declared type by its name, with arguments; or a parameter of the declaration that it stands in.
    Named(String, Vec<Type>),
    /// `(payload: P): R`, of an action.
    Function(Box<Type>, Box<Type>),
}

/// A type that has one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `"a"`.
    String(String),
    /// `1`, as it is written.
    Number(String),
    /// `true`.
    Boolean(bool),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name, whatever letters are in it.
    pub name: String,
    /// It may be missing.
    pub optional: bool,
    /// What it is.
    pub ty: Type,
    /// What the Rust documentation says of it.
    pub docs: Option<String>,
}

impl Member {
    /// A member that is always there.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), optional: false, ty, docs: None }
    }
}

/// All other members of an object: `[key in K]?: V`.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// What names there may be.
    pub key: Type,
    /// One of them may be missing.
    pub optional: bool,
    /// What each of them is.
    pub value: Type,
}

/// A type with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// The names of its parameters, as `T`.
    pub parameters: Vec<String>,
    /// What it stands for.
    pub ty: Type,
    /// What the Rust documentation says of it.
    pub docs: Option<String>,
}

/// The types that have names, by these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declarations {
    pub(crate) named: BTreeMap<String, Declaration>,
}

impl Declarations {
    /// Adds `type Name<T> = …;`, as ts-rs writes it. Whether it was new; the same one again changes nothing.
    ///
    /// # Errors
    ///
    /// What is no declaration, and another one of the same name.
    pub fn add(&mut self, text: &str, docs: Option<String>) -> Result<bool, ParseError> {
        let (name, mut declaration) = Parser::new(text)?.declaration()?;
        declaration.docs = docs;
        match self.named.get(&name) {
            Some(known) if known.ty == declaration.ty && known.parameters == declaration.parameters => Ok(false),
            Some(_) => Err(ParseError::Twice(name)),
            None => Ok(self.named.insert(name, declaration).is_none()),
        }
    }

    /// All of them with their types changed.
    #[must_use]
    pub fn map(mut self, change: &dyn Fn(&Type) -> Type) -> Self {
        for declaration in self.named.values_mut() {
            declaration.ty = change(&declaration.ty);
        }
        self
    }

    /// A declaration by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Declaration> {
        self.named.get(name)
    }
}

impl Type {
    /// A union without what is in it twice; of one type that type.
    #[must_use]
    pub fn union(types: impl IntoIterator<Item = Type>) -> Self {
        let mut all: Vec<Self> = Vec::new();
        for ty in types {
            let parts = if let Self::Union(parts) = ty { parts } else { vec![ty] };
            for part in parts {
                if !all.contains(&part) && part != Self::Never {
                    all.push(part);
                }
            }
        }
        match all.len() {
            0 => Self::Never,
            1 => all.swap_remove(0),
            _ => Self::Union(all),
        }
    }

    /// The type with another one in the place of each name that `replace` knows.
    #[must_use]
    pub fn substitute(&self, replace: &dyn Fn(&str) -> Option<Type>) -> Self {
        match self {
            Self::Named(name, arguments) => {
                let arguments = arguments.iter().map(|ty| ty.substitute(replace)).collect();
                replace(name).unwrap_or_else(|| Self::Named(name.clone(), arguments))
            }
            other => other.each(&|ty| ty.substitute(replace), &|_| true),
        }
    }

    /// The type without those members of its objects, however deep.
    #[must_use]
    pub fn without_members(&self, is_out: &dyn Fn(&Member) -> bool) -> Self {
        self.each(&|ty| ty.without_members(is_out), &|member| !is_out(member))
    }

    /// The type with each of those that it is made of changed, and those members that are to be kept.
    fn each(&self, change: &dyn Fn(&Self) -> Self, keep: &dyn Fn(&Member) -> bool) -> Self {
        let all = |types: &[Self]| types.iter().map(change).collect();
        match self {
            Self::Named(name, arguments) => Self::Named(name.clone(), all(arguments)),
            Self::Array(of) => Self::Array(Box::new(change(of))),
            Self::Tuple(types) => Self::Tuple(all(types)),
            Self::Union(types) => Self::Union(all(types)),
            Self::Intersection(types) => Self::Intersection(all(types)),
            Self::Function(payload, reply) => Self::Function(Box::new(change(payload)), Box::new(change(reply))),
            Self::Object(members, index) => Self::Object(
                members
                    .iter()
                    .filter(|member| keep(member))
                    .map(|member| Member { ty: change(&member.ty), ..member.clone() })
                    .collect(),
                index.as_ref().map(|index| {
                    let Index { key, optional, value } = &**index;
                    let (key, value) = (change(key), change(value));
                    Box::new(Index { key, optional: *optional, value })
                }),
            ),
            other => other.clone(),
        }
    }
}
