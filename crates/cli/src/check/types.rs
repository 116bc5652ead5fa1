//! What an expression comes to, and what of it cannot be.

use windlass_types::{Declarations, Description, Literal, Step, Type};

use super::expression::{self, Base, Node, Path};
use super::suggestion;

/// A row around a binding: its name and what it is, and where its list is in the state.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// The way to its list from the root; none when the list is no plain path of the state.
    pub(crate) list: Option<Vec<Way>>,
    /// The field that tells rows apart.
    pub(crate) key: Option<String>,
}

/// A step of the way from the root of the state to a value.
#[derive(Clone, PartialEq)]
pub(crate) enum Way {
    Member(String),
    /// The row around it with that index, the outermost being 0.
    Row(usize),
}

/// The members of a way, with dots: a path as a page says it.
pub(crate) fn dotted(way: &[Way]) -> String {
    let names = way.iter().filter_map(|step| match step {
        Way::Member(name) => Some(&**name),
        Way::Row(_) => None,
    });
    names.collect::<Vec<_>>().join(".")
}

/// What names mean at a place of the page.
pub(crate) struct Names<'a> {
    pub(crate) description: &'a Description,
    pub(crate) rows: &'a [Row],
}

/// Something that an expression says and that cannot be.
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) text: String,
    pub(crate) at: usize,
}

impl Names<'_> {
    fn declarations(&self) -> &Declarations {
        &self.description.declarations
    }

    /// The type of a node; what is wrong with it is added to the problems, and is unknown then.
    pub(crate) fn type_of(&self, node: &Node, problems: &mut Vec<Problem>) -> Type {
        match node {
            Node::Path(path) => self.walk(path, problems),
            Node::Literal(literal) => literal_type(literal),
            Node::Not(value) => {
                self.type_of(value, problems);
                Type::Boolean
            }
            Node::Binary(operator, left, right) => {
                let (left_type, right_type) = (self.type_of(left, problems), self.type_of(right, problems));
                match *operator {
                    "&&" => Type::union([left_type, right_type]),
                    "||" => Type::union([self.something(&left_type), right_type]),
                    "==" | "!=" => {
                        self.compare((left, &left_type), (right, &right_type), problems);
                        Type::Boolean
                    }
                    _ => Type::Boolean,
                }
            }
            Node::Choice(test, then, otherwise) => {
                self.type_of(test, problems);
                Type::union([self.type_of(then, problems), self.type_of(otherwise, problems)])
            }
            Node::Format(value, arguments) => {
                self.type_of(value, problems);
                for argument in arguments {
                    self.type_of(argument, problems);
                }
                Type::Union(vec![Type::String, Type::Null])
            }
        }
    }

    fn walk(&self, path: &Path, problems: &mut Vec<Problem>) -> Type {
        let root = match path.base {
            Base::Local | Base::Event => return Type::Unknown,
            Base::Index => Type::Number,
            Base::Connection => built_in(CONNECTION),
            Base::Location => built_in("{ hash: string, pathname: string, search: string }"),
            Base::Value if path.hops < self.rows.len() => self.rows[self.rows.len() - 1 - path.hops].ty.clone(),
            Base::Value if path.steps.first().is_some_and(|name| name == "$jobs") => {
                return self.steps(built_in(&format!("({JOB})[]")), &path.steps[1..], path, problems);
            }
            Base::Value => self.description.state.clone().unwrap_or(Type::Unknown),
        };
        self.steps(root, &path.steps, path, problems)
    }

    fn steps(&self, from: Type, steps: &[String], path: &Path, problems: &mut Vec<Problem>) -> Type {
        let mut ty = from;
        for (at, step) in steps.iter().enumerate() {
            ty = match self.declarations().step(&ty, step) {
                Step::To(ty) => ty,
                Step::Nothing(known) => {
                    let before = path.text.len() - steps[at..].join(".").len();
                    let whole = path.text[..before].trim_end_matches('.');
                    let text = match (whole, known.is_empty()) {
                        ("", _) => {
                            format!("no '{step}' in the state{}", suggestion(step, known.iter().map(|name| &**name)))
                        }
                        (whole, true) => format!("'{whole}' is {}, it has no '{step}'", self.shown(&ty)),
                        (whole, false) => {
                            format!("no '{step}' in '{whole}'{}", suggestion(step, known.iter().map(|name| &**name)))
                        }
                    };
                    problems.push(Problem { code: "unknown_name", text, at: path.at + before });
                    return Type::Unknown;
                }
            };
        }
        ty
    }

    /// A text that is none of those that the other side may be.
    fn compare(&self, left: (&Node, &Type), right: (&Node, &Type), problems: &mut Vec<Problem>) {
        for ((node, ty), (_, other)) in [(left, right), (right, left)] {
            let (Node::Literal(_), false) =
                (node, matches!(right.0, Node::Literal(_)) && matches!(left.0, Node::Literal(_)))
            else {
                continue;
            };
            if *ty == Type::Null || self.declarations().may_be(ty, other) {
                continue;
            }
            let path = match (left.0, right.0) {
                (Node::Path(path), _) | (_, Node::Path(path)) => path,
                _ => continue,
            };
            let texts = self.texts(other);
            let known = texts.iter().map(|text| &**text);
            let hint = match ty {
                Type::Literal(Literal::String(text)) => suggestion(text, known),
                _ => String::new(),
            };
            let text = format!("'{}' is never {ty}, it is {}{hint}", path.text, self.shown(other));
            problems.push(Problem { code: "never_equal", text, at: path.at });
        }
    }

    /// The texts that a value may be.
    fn texts(&self, ty: &Type) -> Vec<String> {
        let parts = match self.declarations().resolve(ty) {
            Type::Union(parts) => parts,
            one => vec![one],
        };
        parts
            .into_iter()
            .filter_map(|part| if let Type::Literal(Literal::String(text)) = part { Some(text) } else { None })
            .collect()
    }

    /// A type as a person reads it: what it stands for, when that is short.
    pub(crate) fn shown(&self, ty: &Type) -> String {
        let resolved = self.declarations().resolve(ty);
        match &resolved {
            Type::Object(..) | Type::Intersection(_) | Type::Unknown => ty.to_string(),
            _ => resolved.to_string(),
        }
    }

    /// A value that is not null.
    fn something(&self, ty: &Type) -> Type {
        match self.declarations().resolve(ty) {
            Type::Union(parts) => {
                Type::union(parts.into_iter().filter(|part| !matches!(part, Type::Null | Type::Undefined)))
            }
            one => one,
        }
    }

    /// The way to what a plain path names, through the rows that it is in.
    pub(crate) fn address(&self, path: &Path) -> Option<Vec<Way>> {
        if path.base != Base::Value {
            return None;
        }
        let mut way = match self.rows.len().checked_sub(1 + path.hops) {
            None => Vec::new(),
            Some(at) => {
                let mut list = self.rows[at].list.clone()?;
                list.push(Way::Row(at));
                list
            }
        };
        way.extend(path.steps.iter().cloned().map(Way::Member));
        Some(way)
    }
}

fn literal_type(literal: &expression::Literal) -> Type {
    match literal {
        expression::Literal::Null => Type::Null,
        expression::Literal::Boolean(value) => Type::Literal(Literal::Boolean(*value)),
        expression::Literal::Number(number) => Type::Literal(Literal::Number(number.clone())),
        expression::Literal::Text(text) => Type::Literal(Literal::String(text.clone())),
    }
}

fn built_in(text: &str) -> Type {
    text.parse().expect("a constant of this file is a type")
}

/// `ConnectionStatus` of the client, and how many actions wait.
const CONNECTION: &str = r#"{ state: "connecting" | "live" | "waiting" | "stopped", retryAt: number | null,
    code: string | null, attempt: number, pending: number }"#;

/// A row of `$jobs`; protocol.md section 10.
const JOB: &str = r#"{ id: string, name: string,
    status: "queued" | "running" | "done" | "failed" | "cancelled" | "timed_out" | "lost",
    attempt: number, rank: number | null, eta_ms: number | null, elapsed_ms: number, progress: number | null,
    text: string | null, log: string[],
    children?: { total: number, queued: number, running: number, done: number, failed: number, cancelled: number,
        active: { id: string, name: string, progress: number | null, text: string | null }[] } }"#;
