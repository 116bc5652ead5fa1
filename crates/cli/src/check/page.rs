//! Walks a page as the web client binds it (`web-client/src/template.js`), and holds each attribute against the app's types.

use windlass_types::{Description, Literal, Member, Type};

use super::expression::{self, Base, Expression, Node, Step, Wrong};
use super::form::{self, control_type};
use super::html::{Attribute, Element};
use super::suggestion;
use super::types::{Names, Problem, Row, Way, dotted};

/// Something wrong in a page.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where in the file, in bytes.
    pub(crate) at: usize,
    /// The client's code, or one of this command's own.
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// What a page is held against.
pub(crate) struct Rules<'a> {
    pub(crate) description: &'a Description,
    /// Formats that scripts of the page add.
    pub(crate) formats: Vec<&'a str>,
}

/// All that is wrong in a page.
pub(crate) fn check(page: &Element, rules: &Rules<'_>) -> Vec<Finding> {
    let mut walk = Walk { page, rules, findings: Vec::new(), models: Vec::new() };
    page.each(&mut |element| {
        let models = element.attributes.iter().filter(|attribute| attribute.name.split('.').next() == Some("w-model"));
        walk.models.extend(models.map(|attribute| attribute.value.trim().to_owned()));
    });
    for child in &page.children {
        walk.element(child, &[]);
    }
    walk.findings.sort();
    walk.findings
}

struct Walk<'a> {
    page: &'a Element,
    rules: &'a Rules<'a>,
    findings: Vec<Finding>,
    /// What each `w-model` of the page says.
    models: Vec<String>,
}

impl<'a> Walk<'a> {
    fn element(&mut self, element: &'a Element, rows: &[Row]) {
        if element.has("w-ignore") {
            return;
        }
        if element.name == "template" {
            return self.block(element, rows);
        }
        let mut steps = Vec::new();
        let mut arguments = form::Arguments::default();
        let mut filled = false;
        for attribute in element.attributes.iter().filter(|attribute| attribute.name.starts_with("w-")) {
            let (word, argument) = attribute.name[2..].split_once(':').unwrap_or((&attribute.name[2..], ""));
            if let Some(text) = refused(element, word, argument) {
                self.tell(attribute, 0, text.0, text.1);
                continue;
            }
            match word {
                "each" | "if" => {
                    self.tell(
                        attribute,
                        0,
                        "template_only",
                        format!("put w-{word} on a <template> around one element"),
                    );
                }
                "on" => {
                    let mut parts = argument.split('.');
                    let event = parts.next().unwrap_or_default();
                    self.modifiers(attribute, parts);
                    match expression::parse_handler(&attribute.value, &names(rows), &self.rules.formats) {
                        Ok(parsed) => steps.extend(parsed.into_iter().map(|(step, at)| (event, attribute, step, at))),
                        Err(wrong) => self.wrong(attribute, wrong, 0),
                    }
                }
                "arg" => {
                    let ty = self.value(attribute, rows);
                    if argument.is_empty() {
                        arguments.whole = Some(ty);
                    } else {
                        arguments.named.push((argument.to_owned(), ty));
                    }
                }
                "text" | "show" | "class" | "style" | "attr" | "prop" => {
                    let named = !matches!(word, "text" | "show");
                    filled |= word == "text";
                    if named == argument.is_empty() {
                        let text = if named {
                            format!("say which one, as in w-{word}:name")
                        } else {
                            format!("it is w-{word} alone")
                        };
                        self.tell(attribute, 0, "unknown_attribute", text);
                    } else {
                        self.value(attribute, rows);
                    }
                }
                "busy" if argument.is_empty() => {
                    if attribute.value.trim().is_empty() {
                        self.tell(
                            attribute,
                            0,
                            "expression",
                            "write the name of a job, as in w-busy=\"train\"".to_owned(),
                        );
                    }
                }
                "error" => self.error_place(attribute),
                "key" | "confirm" | "disable" | "reset" | "secret" | "cloak" | "state" => {}
                _ if word == "model" || word.starts_with("model.") => self.model(element, attribute, rows),
                _ => {
                    let text = format!("there is no w-{word}{}", suggestion(word, WORDS));
                    self.tell(attribute, 0, "unknown_attribute", text);
                }
            }
        }
        for (event, attribute, step, at) in steps {
            match step {
                Step::Action(name) => self.action(element, (event, attribute, at), &name, &arguments),
                Step::Local(_, value) => drop(self.typed(attribute, &value, 0, rows)),
            }
        }
        if !filled {
            for child in &element.children {
                self.element(child, rows);
            }
        }
    }

    /// `<template w-each>` and `<template w-if>`; a template without them is the page's own.
    fn block(&mut self, element: &'a Element, rows: &[Row]) {
        let Some(attribute) = element.attribute("w-each").or_else(|| element.attribute("w-if")) else { return };
        if element.children.len() != 1 || element.children[0].name == "template" {
            let text = "a template holds exactly one element, which is no template itself".to_owned();
            return self.tell(attribute, 0, "one_root", text);
        }
        let mut within = rows.to_vec();
        if attribute.name == "w-if" {
            self.value(attribute, rows);
        } else {
            match self.row(element, attribute, rows) {
                Some(row) => within.push(row),
                None => return,
            }
        }
        self.element(&element.children[0], &within);
    }

    fn row(&mut self, element: &Element, attribute: &Attribute, rows: &[Row]) -> Option<Row> {
        let (name, list, at) = match expression::parse_each(&attribute.value, &names(rows), &self.rules.formats) {
            Ok(parsed) => parsed,
            Err(wrong) => {
                self.wrong(attribute, wrong, 0);
                return None;
            }
        };
        let ty = self.typed(attribute, &list, at, rows);
        let scope = self.names(rows);
        let element_type = scope.description.declarations.element(&ty);
        let address = match &list.root {
            Node::Path(path) if list.plain => scope.address(path),
            _ => None,
        };
        if element_type.is_none() {
            let text = format!("'{}' is {}, not a list", attribute.value[at..].trim(), scope.shown(&ty));
            self.tell(attribute, at, "not_a_list", text);
        }
        let mut row = Row { name, ty: element_type.unwrap_or(Type::Unknown), list: address, key: None };
        if let Some(key) = element.attribute("w-key") {
            let within: Vec<_> = rows.iter().cloned().chain([row.clone()]).collect();
            if let Some(parsed) = self.parse(key, &within) {
                self.typed(key, &parsed, 0, &within);
                row.key = match &parsed.root {
                    Node::Path(path)
                        if parsed.plain && path.base == Base::Value && path.hops == 0 && path.steps.len() == 1 =>
                    {
                        path.steps.first().cloned()
                    }
                    _ => None,
                };
            }
        }
        Some(row)
    }

    fn model(&mut self, element: &Element, attribute: &Attribute, rows: &[Row]) {
        let mode = &attribute.name["w-model".len()..];
        let is_mode = match mode.strip_prefix(".debounce") {
            Some(ms) => {
                ms.is_empty()
                    || ms
                        .strip_prefix('.')
                        .is_some_and(|ms| !ms.is_empty() && ms.bytes().all(|byte| byte.is_ascii_digit()))
            }
            None => mode.is_empty() || mode == ".blur",
        };
        if !is_mode {
            let text = "it is w-model, w-model.blur, w-model.debounce or w-model.debounce.500".to_owned();
            return self.tell(attribute, 0, "unknown_attribute", text);
        }
        let kind = element.value("type").unwrap_or_default().to_lowercase();
        let is_button = matches!(&*kind, "file" | "button" | "submit" | "reset" | "image" | "hidden");
        if !matches!(&*element.name, "input" | "select" | "textarea") || is_button {
            let text = "w-model is for inputs that a person fills in, select and textarea".to_owned();
            return self.tell(attribute, 0, "not_a_control", text);
        }
        let Some(parsed) = self.parse(attribute, rows) else { return };
        let before = self.findings.len();
        self.typed(attribute, &parsed, 0, rows);
        let Node::Path(path) = &parsed.root else {
            let text = "name one field of the state, as in w-model=\"todo.text\"".to_owned();
            return self.tell(attribute, 0, "expression", text);
        };
        if !parsed.plain || path.base != Base::Value {
            let text = "name one field of the state, as in w-model=\"todo.text\"".to_owned();
            return self.tell(attribute, 0, "expression", text);
        }
        let around = &rows[..rows.len().saturating_sub(path.hops)];
        if around.iter().any(|row| row.key.is_none() || row.list.is_none()) {
            let text =
                "a row is found again by its key: add w-key, such as w-key=\"todo.id\", to its w-each".to_owned();
            return self.tell(attribute, 0, "no_key", text);
        }
        // A name that is not there was told.
        if self.findings.len() > before {
            return;
        }
        let Some(way) = self.names(rows).address(path) else { return };
        let fields = &self.rules.description.fields;
        let Some((field, keys)) = fields.values().find_map(|field| Some((field, keys_of(&field.path, &way)?))) else {
            let (address, known) = (dotted(&way), fields.keys().map(|path| &**path));
            let nested = way.iter().filter(|step| matches!(step, Way::Row(_))).count() > 1;
            let how = if nested { "`App::nested_field`" } else { "`App::field` or `App::row_field`" };
            let hint = suggestion(&address, known);
            let text = format!("no page may write to '{address}'{hint}; declare it with {how}");
            return self.tell(attribute, 0, "unknown_field", text);
        };
        for (row, key) in keys.into_iter().map(|(at, key)| (&rows[at], key)) {
            if row.key.as_deref() != Some(key) {
                let (list, name) = (dotted(row.list.as_deref().unwrap_or_default()), &row.name);
                let text = format!("rows of '{list}' are told apart by their '{key}': write w-key=\"{name}.{key}\"");
                return self.tell(attribute, 0, "no_key", text);
            }
        }
        let value = control_type(element);
        let declarations = &self.rules.description.declarations;
        // Checkboxes of one list add their value to it.
        let is_listed = kind == "checkbox" && declarations.element(&field.value).is_some();
        if !is_listed && !declarations.may_be(&value, &field.value) {
            let names = self.names(rows);
            let (address, shown) = (dotted(&way), names.shown(&field.value));
            let text = format!("'{address}' takes {shown}, and this control gives {value}");
            self.tell(attribute, 0, "bad_payload", text);
        }
    }

    fn action(
        &mut self,
        element: &'a Element,
        from: (&str, &Attribute, usize),
        name: &str,
        arguments: &form::Arguments,
    ) {
        let (event, attribute, at) = from;
        // The blanks in front are no part of the name.
        let at = at + attribute.value[at..].len() - attribute.value[at..].trim_start().len();
        if matches!(name, "$cancel" | "$dismiss") {
            return;
        }
        let actions = &self.rules.description.actions;
        let Some(action) = actions.get(name) else {
            let text = format!("no action '{name}'{}", suggestion(name, actions.keys().map(|name| &**name)));
            return self.tell(attribute, at, "unknown_action", text);
        };
        let names = self.names(&[]);
        let payload = form::payload(element, event, arguments, self.page, &names.description.declarations);
        if let Some(text) = self.mismatch(&payload, &action.payload) {
            self.tell(attribute, at, "bad_payload", format!("'{name}' {text}"));
        }
    }

    /// Why no payload of the one type is of the other.
    fn mismatch(&self, payload: &Type, wanted: &Type) -> Option<String> {
        let names = self.names(&[]);
        let declarations = &names.description.declarations;
        let (given, takes) = (declarations.resolve(payload), declarations.resolve(wanted));
        if let (Type::Object(given, more), Type::Object(takes, index)) = (&given, &takes) {
            for member in given.iter().filter(|_| index.is_none()) {
                if takes.iter().all(|known| known.name != member.name) {
                    let hint = suggestion(&member.name, takes.iter().map(|member| &*member.name));
                    let hint = if hint.is_empty() {
                        format!("; it takes {wanted}: {}", names.shown_members(takes))
                    } else {
                        hint
                    };
                    return Some(format!("does not take '{}'{hint}", member.name));
                }
            }
            for member in takes {
                let found = given.iter().find(|known| known.name == member.name);
                let may = match found {
                    Some(found) => declarations.may_be(&found.ty, &member.ty),
                    None => member.optional || more.is_some() || declarations.may_be(&Type::Undefined, &member.ty),
                };
                if !may {
                    let (name, is) = (&member.name, names.shown(&member.ty));
                    return Some(match found {
                        Some(found) => format!("takes {is} as '{name}', and gets {}", found.ty),
                        None => format!("needs '{name}', which is {is}"),
                    });
                }
            }
            return None;
        }
        (!declarations.may_be(payload, wanted)).then(|| match payload {
            Type::Null => format!("takes {}, and gets nothing: say it with w-arg", names.shown(wanted)),
            payload => format!("takes {}, and gets {}", names.shown(wanted), names.shown(payload)),
        })
    }

    fn error_place(&mut self, attribute: &Attribute) {
        let name = attribute.value.trim();
        let actions = &self.rules.description.actions;
        let is_known = name.is_empty() || actions.contains_key(name) || self.models.iter().any(|model| model == name);
        if !is_known {
            let known = actions.keys().chain(&self.models).map(|name| &**name);
            let text = format!("no action and no field '{name}' on this page{}", suggestion(name, known));
            self.tell(attribute, 0, "unknown_name", text);
        }
    }

    fn modifiers<'m>(&mut self, attribute: &Attribute, modifiers: impl Iterator<Item = &'m str>) {
        let mut throttled = false;
        for modifier in modifiers {
            let is_time = throttled && !modifier.is_empty() && modifier.bytes().all(|byte| byte.is_ascii_digit());
            if !is_time && !MODIFIERS.contains(&modifier) {
                let text = format!("there is no .{modifier}{}", suggestion(modifier, MODIFIERS));
                self.tell(attribute, 0, "unknown_attribute", text);
            }
            throttled |= modifier == "throttle";
        }
    }

    /// The type of an attribute's value.
    fn value(&mut self, attribute: &Attribute, rows: &[Row]) -> Type {
        match self.parse(attribute, rows) {
            Some(parsed) => self.typed(attribute, &parsed, 0, rows),
            None => Type::Unknown,
        }
    }

    fn parse(&mut self, attribute: &Attribute, rows: &[Row]) -> Option<Expression> {
        match expression::parse(&attribute.value, &names(rows), &self.rules.formats) {
            Ok(parsed) => Some(parsed),
            Err(wrong) => {
                self.wrong(attribute, wrong, 0);
                None
            }
        }
    }

    /// The type of an expression that stands at a place in the attribute's value.
    fn typed(&mut self, attribute: &Attribute, parsed: &Expression, at: usize, rows: &[Row]) -> Type {
        let mut problems = Vec::new();
        let ty = self.names(rows).type_of(&parsed.root, &mut problems);
        for Problem { code, text, at: place } in problems {
            self.tell(attribute, at + place, code, text);
        }
        ty
    }

    fn names<'n>(&self, rows: &'n [Row]) -> Names<'n>
    where
        'a: 'n,
    {
        Names { description: self.rules.description, rows }
    }

    fn wrong(&mut self, attribute: &Attribute, wrong: Wrong, at: usize) {
        self.tell(attribute, at + wrong.at, wrong.code, wrong.text);
    }

    fn tell(&mut self, attribute: &Attribute, at: usize, code: &'static str, text: String) {
        self.findings.push(Finding { at: attribute.place(at), code, text });
    }
}

impl Names<'_> {
    fn shown_members(&self, members: &[Member]) -> String {
        Type::Object(members.to_vec(), None).to_string()
    }
}

fn names(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| &*row.name).collect()
}

/// When a declared path goes this way: each row on it, with the field by which the path finds it.
fn keys_of<'a>(declared: &'a Type, way: &[Way]) -> Option<Vec<(usize, &'a str)>> {
    let Type::Tuple(steps) = declared else { return None };
    if steps.len() != way.len() {
        return None;
    }
    let mut keys = Vec::new();
    for step in steps.iter().zip(way) {
        match step {
            (Type::Literal(Literal::String(name)), Way::Member(member)) if name == member => {}
            (Type::Object(members, None), Way::Row(at)) => keys.push((*at, &*members.first()?.name)),
            _ => return None,
        }
    }
    Some(keys)
}

/// What the client refuses to bind, with the code and the reason.
fn refused(element: &Element, word: &str, argument: &str) -> Option<(&'static str, String)> {
    let is_plain = matches!(word, "key" | "confirm" | "disable" | "reset" | "secret" | "cloak" | "state");
    let name = &*element.name;
    let is_frame = name == "iframe" && !element.has("src") && word != "attr" && word != "prop";
    if REFUSED_ELEMENTS.contains(&name) && !is_plain && !is_frame {
        return Some(("refused_element", format!("nothing on a <{name}> is set from data")));
    }
    if matches!(word, "attr" | "prop") {
        let plain = argument.replace('-', "").to_lowercase();
        if plain.starts_with("on") || REFUSED_NAMES.contains(&&*plain) {
            return Some(("refused_attribute", format!("'{argument}' is not set from data")));
        }
    }
    None
}

/// The attributes there are, for who misspells one.
const WORDS: [&str; 20] = [
    "text", "show", "class", "style", "attr", "prop", "key", "confirm", "disable", "reset", "secret", "cloak", "state",
    "each", "if", "on", "arg", "busy", "model", "error",
];
const MODIFIERS: [&str; 21] = [
    "prevent",
    "stop",
    "self",
    "once",
    "throttle",
    "enter",
    "esc",
    "tab",
    "space",
    "delete",
    "backspace",
    "home",
    "end",
    "up",
    "down",
    "left",
    "right",
    "ctrl",
    "alt",
    "shift",
    "meta",
];
const REFUSED_ELEMENTS: [&str; 8] = ["script", "base", "iframe", "object", "embed", "meta", "animate", "set"];
const REFUSED_NAMES: [&str; 7] = ["srcdoc", "style", "innerhtml", "outerhtml", "__proto__", "constructor", "prototype"];
