//! All that a page may rely on, and its form as a `.d.ts`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::parse::{ParseError, Parser, Token};
use crate::print::{docs, index_of, member};
use crate::ty::{Declaration, Declarations, Literal, Member, Type};

/// What the page of an app may rely on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// What its document is; nothing when that is not known.
    pub state: Option<Type>,
    /// What it may ask for, by name.
    pub actions: BTreeMap<String, Action>,
    /// What it may write to, by the paths as they were declared.
    pub fields: BTreeMap<String, Field>,
    /// What it may hear of, by name.
    pub events: BTreeMap<String, Type>,
    /// The jobs that have a name in the app.
    pub jobs: Vec<String>,
    /// The types that the others name.
    pub declarations: Declarations,
}

/// An action: what it takes and what it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What it takes.
    pub payload: Type,
    /// What it answers; null when it answers nothing.
    pub reply: Type,
    /// What is to be known of it besides.
    pub docs: Option<String>,
}

impl Action {
    /// An action of which nothing else is to be known.
    #[must_use]
    pub fn new(payload: Type, reply: Type) -> Self {
        Self { payload, reply, docs: None }
    }
}

/// A field that a page may write to.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Member by member; a row by the field that tells it from the others.
    pub path: Type,
    /// What may be written there.
    pub value: Type,
}

impl Description {
    /// The names that a description declares itself, which no type of the app may have.
    pub const RESERVED: [&str; 5] = ["State", "Actions", "Fields", "Events", "JobName"];
}

const HEADER: &str = "// Written by `windlass types` from the app's Rust types. What is changed here is lost.\n";

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = HEADER.to_owned();
        if self.declarations.get("State").is_none() {
            let state = self.state.clone().unwrap_or(Type::Unknown);
            declare(&mut out, "State", Some("What a page sees: `app.document`."), &[], &state);
        }
        let interface = |members: Vec<Member>| Type::Object(members, None);
        let actions = self.actions.iter().map(|(name, action)| Member {
            docs: action.docs.clone(),
            ..Member::new(name, Type::Function(Box::new(action.payload.clone()), Box::new(action.reply.clone())))
        });
        declare(
            &mut out,
            "Actions",
            Some("What a page may ask for: `app.action(name, payload)`."),
            &[],
            &interface(actions.collect()),
        );
        let fields = self.fields.iter().map(|(path, field)| {
            let entry = [Member::new("path", field.path.clone()), Member::new("value", field.value.clone())];
            Member::new(path, Type::Object(entry.into(), None))
        });
        declare(
            &mut out,
            "Fields",
            Some("What a page may write to: `app.set(path, value)`, `w-model`."),
            &[],
            &interface(fields.collect()),
        );
        let events = self.events.iter().map(|(name, ty)| Member::new(name, ty.clone()));
        declare(
            &mut out,
            "Events",
            Some("What a page may hear of: `emit` events, by name."),
            &[],
            &interface(events.collect()),
        );
        let jobs = Type::union(self.jobs.iter().map(|name| Type::Literal(Literal::String(name.clone()))));
        declare(&mut out, "JobName", Some("The jobs that have a name of their own in the app."), &[], &jobs);
        for (name, Declaration { parameters, ty, docs }) in &self.declarations.named {
            declare(&mut out, name, docs.as_deref(), parameters, ty);
        }
        f.write_str(&out)
    }
}

/// An object as an interface of one member a line, everything else as a type.
fn declare(out: &mut String, name: &str, text: Option<&str>, parameters: &[String], ty: &Type) {
    out.push('\n');
    docs(out, text, "");
    let parameters = if parameters.is_empty() { String::new() } else { format!("<{}>", parameters.join(", ")) };
    match ty {
        Type::Object(members, None) => {
            out.push_str(&format!("export interface {name}{parameters} {{"));
            out.push_str(if members.is_empty() { "" } else { "\n" });
            for one in members {
                docs(out, one.docs.as_deref(), "  ");
                out.push_str(&format!("  {};\n", member(one)));
            }
            out.push_str("}\n");
        }
        Type::Object(members, Some(index)) if members.is_empty() => {
            out.push_str(&format!("export type {name}{parameters} = {{ {} }};\n", index_of(index)));
        }
        Type::Union(types) if types.iter().any(|ty| matches!(ty, Type::Object(..) | Type::Intersection(_))) => {
            out.push_str(&format!("export type {name}{parameters} =\n"));
            let end = types.len() - 1;
            for (at, one) in types.iter().enumerate() {
                out.push_str(&format!("  | {one}{}\n", if at == end { ";" } else { "" }));
            }
        }
        _ => out.push_str(&format!("export type {name}{parameters} = {ty};\n")),
    }
}

impl FromStr for Description {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut description = Self::default();
        let mut parser = Parser::new(text)?;
        while parser.token != Token::End {
            let (name, declaration) = parser.declaration()?;
            match (&*name, declaration.ty) {
                ("Actions", Type::Object(members, None)) => {
                    description.actions = members.into_iter().filter_map(action_of).collect();
                }
                ("Fields", Type::Object(members, None)) => {
                    description.fields = members.into_iter().filter_map(field_of).collect();
                }
                ("Events", Type::Object(members, None)) => {
                    description.events = members.into_iter().map(|member| (member.name, member.ty)).collect();
                }
                ("JobName", ty) => {
                    let names = if let Type::Union(names) = ty { names } else { vec![ty] };
                    description.jobs = names.into_iter().filter_map(text_of).collect();
                }
                ("State", Type::Unknown) => {}
                ("State", ty @ Type::Named(..)) => description.state = Some(ty),
                (_, ty) => {
                    // A type of the app's own that is called so, or one without another name.
                    if name == "State" {
                        description.state = Some(Type::Named(name.clone(), Vec::new()));
                    }
                    description.declarations.named.insert(name, Declaration { ty, ..declaration });
                }
            }
        }
        Ok(description)
    }
}

fn action_of(member: Member) -> Option<(String, Action)> {
    let Type::Function(payload, reply) = member.ty else { return None };
    Some((member.name, Action { payload: *payload, reply: *reply, docs: member.docs }))
}

fn field_of(member: Member) -> Option<(String, Field)> {
    let Type::Object(parts, None) = member.ty else { return None };
    let part = |name: &str| Some(parts.iter().find(|part| part.name == name)?.ty.clone());
    Some((member.name, Field { path: part("path")?, value: part("value")? }))
}

fn text_of(ty: Type) -> Option<String> {
    if let Type::Literal(Literal::String(text)) = ty { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Description {
        let mut description = Description::default();
        let declarations = &mut description.declarations;
        declarations
            .add("type Row = { id: number, \n/**\n * What to do.\n */\ntitle: string, };", Some("A line.".into()))
            .unwrap();
        declarations.add("type Gen<T> = { of: Array<T>, };", None).unwrap();
        declarations.add(r#"type Tag = { "type": "a", x: number, } | { "type": "b" };"#, None).unwrap();
        description.state = Some("Row".parse().unwrap());
        let action = |payload: &str, reply: &str| Action::new(payload.parse().unwrap(), reply.parse().unwrap());
        description.actions.insert("add".into(), action("string", "null"));
        description
            .actions
            .insert("todo/find".into(), Action { docs: Some("Only reads.".into()), ..action("null", "Row[] | null") });
        let (path, value) = (r#"["rows", { id: number }, "title"]"#.parse().unwrap(), Type::String);
        description.fields.insert("rows.title".into(), Field { path, value });
        description.events.insert("closed".into(), "{ at: number }".parse().unwrap());
        description.jobs = vec!["train".into()];
        description
    }

    #[test]
    fn a_description_is_written_as_a_person_would_and_read_again() {
        let text = described().to_string();
        assert_eq!(
            text,
            r#"// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Row;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: string): null;
  /** Only reads. */
  "todo/find"(payload: null): Row[] | null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  "rows.title": { path: ["rows", { id: number }, "title"], value: string };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {
  closed: { at: number };
}

/** The jobs that have a name of their own in the app. */
export type JobName = "train";

export interface Gen<T> {
  of: T[];
}

/** A line. */
export interface Row {
  id: number;
  /** What to do. */
  title: string;
}

export type Tag =
  | { type: "a", x: number }
  | { type: "b" };
"#
        );
        let again: Description = text.parse().unwrap();
        assert_eq!(again, described());
    }

    #[test]
    fn a_state_that_is_called_so_is_declared_once() {
        let mut description = Description::default();
        description.declarations.add("type State = { kids: Array<State>, };", None).unwrap();
        description.state = Some("State".parse().unwrap());
        let text = description.to_string();
        assert_eq!(text.matches("State ").count(), 1, "{text}");
        assert_eq!(text.parse::<Description>().unwrap(), description);
        let empty = Description::default().to_string();
        assert!(empty.contains("type State = unknown;") && empty.contains("interface Actions {}"), "{empty}");
        assert_eq!(empty.parse::<Description>().unwrap(), Description::default());
    }

    #[test]
    fn two_types_of_one_name_are_told() {
        let mut declarations = Declarations::default();
        assert!(declarations.add("type Row = { id: number, };", None).unwrap());
        assert!(!declarations.add("type Row = { id: number, };", None).unwrap(), "it is known");
        let error = declarations.add("type Row = { name: string, };", None).unwrap_err();
        assert!(error.to_string().contains("two types are called Row"), "{error}");
    }
}
