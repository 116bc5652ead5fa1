//! What an element sends with an action, as the web client makes it (`web-client/src/actions.js`, `forms.js`).

use std::collections::BTreeMap;

use windlass_types::{Declarations, Index, Literal, Member, Type};

use super::html::Element;

/// The values of an element's `w-arg` and `w-arg:name`.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) whole: Option<Type>,
    pub(crate) named: Vec<(String, Type)>,
}

/// The type of what goes out when that event happens on the element.
pub(crate) fn payload(
    element: &Element,
    event: &str,
    arguments: &Arguments,
    page: &Element,
    declarations: &Declarations,
) -> Type {
    let Arguments { whole, named } = arguments;
    let mut base = whole.clone().unwrap_or(Type::Null);
    if event == "submit" && element.name == "form" {
        let fields = form_type(element, page);
        base = merged(&declarations.resolve(&base), &fields);
    } else if whole.is_none() && named.is_empty() && is_filled_in(element) {
        return control_type(element);
    }
    if named.is_empty() {
        return base;
    }
    let named = named.iter().map(|(name, ty)| Member::new(name, sent(ty))).collect();
    merged(&declarations.resolve(&base), &Type::Object(named, None))
}

/// A value that leads nowhere is sent as null.
fn sent(ty: &Type) -> Type {
    match ty {
        Type::Undefined => Type::Null,
        other => other.clone(),
    }
}

/// An object with the members of both; those of the second win.
fn merged(base: &Type, more: &Type) -> Type {
    match (base, more) {
        (Type::Unknown, _) | (_, Type::Unknown) => Type::Unknown,
        (Type::Object(base, ours), Type::Object(more, theirs)) => {
            let kept = base.iter().filter(|member| more.iter().all(|other| other.name != member.name));
            Type::Object(kept.chain(more).cloned().collect(), ours.clone().or_else(|| theirs.clone()))
        }
        (_, more) => more.clone(),
    }
}

/// The fields of a form by name; unknown ones too when a control's name comes from data.
fn form_type(form: &Element, page: &Element) -> Type {
    let mut fields: BTreeMap<String, Vec<&Element>> = BTreeMap::new();
    let mut is_open = false;
    let mut add = |control: &'_ Element| {
        // A control of another's making, and a name that data gives.
        is_open |= control.name.contains('-') && control.has("name") || control.has("w-attr:name");
    };
    let mut controls = Vec::new();
    form.each(&mut |element| controls.push(element));
    if let Some(id) = form.value("id") {
        page.each(&mut |element| {
            if element.value("form") == Some(id) {
                controls.push(element);
            }
        });
    }
    for control in controls {
        add(control);
        let Some(name) = control.value("name").filter(|name| !name.is_empty()) else { continue };
        if is_control(control)
            && !control.has("disabled")
            && !matches!(kind(control).as_str(), "reset" | "button" | "image")
        {
            fields.entry(name.to_owned()).or_default().push(control);
        }
    }
    let members = fields.into_iter().map(|(name, controls)| {
        // The button that was pressed counts as a field, the others do not.
        let optional = controls.iter().all(|control| is_button(control));
        Member { optional, ..Member::new(name, together(&controls)) }
    });
    let more = Index { key: Type::String, optional: true, value: Type::Unknown };
    Type::Object(members.collect(), is_open.then(|| Box::new(more)))
}

/// The type of several controls with one name.
fn together(controls: &[&Element]) -> Type {
    let [first, ..] = controls else { return Type::Null };
    if kind(first) == "radio" {
        let values = controls.iter().map(|control| text_of(control));
        return Type::union(values.chain([Type::Null]));
    }
    if controls.len() == 1 || controls.iter().all(|control| is_button(control)) {
        return Type::union(controls.iter().map(|control| control_type(control)));
    }
    let one = |control: &&Element| if kind(control) == "checkbox" { text_of(control) } else { control_type(control) };
    Type::Array(Box::new(Type::union(controls.iter().map(one))))
}

/// The type of what one control sends.
pub(crate) fn control_type(control: &Element) -> Type {
    match (&*control.name, &*kind(control)) {
        ("select", _) => {
            let one = options_of(control);
            if control.has("multiple") { Type::Array(Box::new(one)) } else { one }
        }
        ("input", "number" | "range") => Type::Union(vec![Type::Number, Type::Null]),
        ("input", "checkbox") => Type::Boolean,
        ("input", "radio") => Type::union([text_of(control), Type::Null]),
        ("input", "file") => {
            let member = |name: &str, ty| Member::new(name, ty);
            let file = vec![member("name", Type::String), member("size", Type::Number), member("type", Type::String)];
            Type::Array(Box::new(Type::Object(file, None)))
        }
        _ => Type::String,
    }
}

/// The texts of a select's options, when all are written in the page.
fn options_of(select: &Element) -> Type {
    let mut texts = Vec::new();
    let mut are_written = true;
    select.each(&mut |element| {
        are_written &= element.name != "template";
        if element.name == "option" {
            // An option without a value is its text, which is not kept here.
            are_written &= element.has("value") && !element.has("w-attr:value") && !element.has("w-prop:value");
            texts.push(text_of(element));
        }
    });
    if are_written && !texts.is_empty() { Type::union(texts) } else { Type::String }
}

/// The value that is written in the page, or any text.
fn text_of(element: &Element) -> Type {
    match element.value("value") {
        Some(value) if !element.has("w-attr:value") && !element.has("w-prop:value") => {
            Type::Literal(Literal::String(value.to_owned()))
        }
        _ => Type::String,
    }
}

fn is_control(element: &Element) -> bool {
    matches!(&*element.name, "input" | "select" | "textarea" | "button")
}

fn is_button(element: &Element) -> bool {
    element.name == "button" || matches!(&*kind(element), "submit" | "image")
}

/// A control that a person fills in, and no button.
fn is_filled_in(element: &Element) -> bool {
    matches!(&*element.name, "input" | "select" | "textarea")
        && !matches!(&*kind(element), "submit" | "button" | "reset" | "image")
}

fn kind(element: &Element) -> String {
    element.value("type").unwrap_or_default().to_lowercase()
}
