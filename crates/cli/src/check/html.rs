//! A page as a tree of elements, each attribute with its place in the text.
//!
//! html5gum finds tags and attributes as the standard says; the tree is made here, as far as bindings need it: what is
//! within a template, a form or an element that is ignored.

use html5gum::emitters::default::{DefaultEmitter, Token};
use html5gum::{HtmlString, Tokenizer};

/// An element with what is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Element>,
}

#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Where the value stands.
    pub(crate) at: usize,
    /// The value is written in the page as it is, without entities.
    verbatim: bool,
}

impl Attribute {
    /// Where a place in the value is in the page.
    pub(crate) fn place(&self, at: usize) -> usize {
        if self.verbatim { self.at + at } else { self.at }
    }
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.attribute(name).map(|attribute| attribute.value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Calls the function with each element in it, however deep.
    pub(crate) fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Element)) {
        for child in &self.children {
            see(child);
            child.each(see);
        }
    }
}

/// A page that nests deeper than anybody writes, and than browsers do: where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep {
    pub(crate) at: usize,
}

/// The page as one element without a name.
///
/// # Errors
///
/// When its elements nest deeper than [`DEPTH_MAX`].
pub(crate) fn parse(text: &str) -> Result<Element, TooDeep> {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    // What is in a script or a style is no markup.
    emitter.naively_switch_states(true);
    let mut open = vec![Element::default()];
    for Ok(token) in Tokenizer::new_with_emitter(text, emitter) {
        match token {
            Token::StartTag(tag) => {
                let name = string(&tag.name);
                end_implied(&mut open, &name);
                let mut attributes: Vec<_> = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| {
                        let (name, value, from) = (string(name), string(&value.value), value.span.start);
                        let at = from + value_at(text.get(from..).unwrap_or_default(), &name);
                        let verbatim = text.get(at..).is_some_and(|written| written.starts_with(&value));
                        Attribute { name, value, at, verbatim }
                    })
                    .collect();
                attributes.sort_by_key(|attribute| attribute.at);
                let element = Element { name, attributes, children: Vec::new() };
                let is_foreign = open.iter().any(|element| matches!(&*element.name, "svg" | "math"));
                if VOID.contains(&&*element.name) || tag.self_closing && is_foreign {
                    close_into(&mut open, element);
                } else {
                    open.push(element);
                    if open.len() > DEPTH_MAX {
                        return Err(TooDeep { at: tag.span.start });
                    }
                }
            }
            Token::EndTag(tag) => {
                let name = string(&tag.name);
                // An end without a beginning, within the template that is open, ends nothing.
                let fence = open.iter().rposition(|element| element.name == "template").unwrap_or(0);
                if let Some(at) = open.iter().rposition(|element| element.name == name)
                    && at >= fence.max(1)
                {
                    close(&mut open, at);
                }
            }
            _ => {}
        }
    }
    close(&mut open, 1);
    Ok(open.swap_remove(0))
}

/// Where the value begins in an attribute as it is written; its beginning when it has none.
fn value_at(written: &str, name: &str) -> usize {
    let value = written.get(name.len()..).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.map_or(0, |value| {
        let value = value.trim_start();
        written.len() - value.strip_prefix(['"', '\'']).unwrap_or(value).len()
    })
}

/// Closes all that is open from there on.
fn close(open: &mut Vec<Element>, at: usize) {
    while open.len() > at {
        if let Some(element) = open.pop() {
            close_into(open, element);
        }
    }
}

fn close_into(open: &mut [Element], element: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

/// Elements whose end may be left out end where one of their kind begins.
fn end_implied(open: &mut Vec<Element>, name: &str) {
    let Some((_, ended, within)) = IMPLIED.iter().find(|(begins, ..)| begins.contains(&name)) else { return };
    let fence = open.iter().rposition(|element| within.contains(&&*element.name) || element.name == "template");
    let from = fence.map_or(1, |fence| fence + 1);
    if let Some(at) = open[from.min(open.len())..].iter().position(|element| ended.contains(&&*element.name)) {
        close(open, from + at);
    }
}

fn string(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A walk goes down by calls. Chromium puts what is deeper than 512 beside each other; a person's page has a tenth of this.
pub(crate) const DEPTH_MAX: usize = 256;

/// Elements without an end.
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

type Names = &'static [&'static str];

/// What begins, what it ends, and within what: HTML's list of ends that may be left out.
const IMPLIED: [(Names, Names, Names); 6] = [
    (&["li"], &["li"], &["ul", "ol", "menu"]),
    (&["dt", "dd"], &["dt", "dd"], &["dl"]),
    (&["option", "optgroup"], &["option"], &["select", "datalist", "optgroup"]),
    (&["td", "th"], &["td", "th"], &["tr", "table"]),
    (&["tr"], &["tr"], &["tbody", "thead", "tfoot", "table"]),
    (
        &[
            "p", "div", "ul", "ol", "dl", "form", "table", "section", "article", "h1", "h2", "h3", "h4", "pre", "hr",
            "main",
        ],
        &["p"],
        &["body", "div", "li", "td", "section", "article", "main", "form", "button"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(element: &Element) -> String {
        let children: Vec<_> = element.children.iter().map(outline).collect();
        if children.is_empty() { element.name.clone() } else { format!("{}({})", element.name, children.join(" ")) }
    }

    #[test]
    fn elements_are_where_a_browser_puts_them() {
        for (page, tree) in [
            ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "(ul(li li(ul(li)) li))"),
            ("<p>a<p>b<div>c</div>", "(p p div)"),
            ("<table><tr><td>a<td>b<tr><td>c</table><b></b>", "(table(tr(td td) tr(td)) b)"),
            ("<input><br/><b></b>", "(input br b)"),
            ("<svg><path d='x'/><g><path/></g></svg><i/><b></b></i>", "(svg(path g(path)) i(b))"),
            ("<template><li>a</template><b></b>", "(template(li) b)"),
            ("<div><template></div><p></p></template></div>", "(div(template(p)))"),
            ("<script>if (a < b) '<p>'</script><!-- <p> --><b></b>", "(script b)"),
            ("<textarea><p></textarea><b></b>", "(textarea b)"),
            ("</p><b>", "(b)"),
        ] {
            assert_eq!(outline(&parse(page).unwrap()), tree, "{page}");
        }
    }

    #[test]
    fn attributes_know_where_they_stand() {
        let page = "<p\n  w-text=\"a.b\" w-show='x &amp;&amp; y' hidden w-on:click=go>";
        let element = &parse(page).unwrap().children[0];
        for (name, value, place) in [
            ("w-text", "a.b", page.find("a.b")),
            ("w-show", "x && y", page.find("x &amp;")),
            ("w-on:click", "go", page.find("go")),
        ] {
            let attribute = element.attribute(name).unwrap();
            assert_eq!((&*attribute.value, Some(attribute.place(0))), (value, place));
        }
        assert_eq!(element.attribute("w-text").unwrap().place(2), page.find("b\"").unwrap());
        let written = element.attribute("w-show").unwrap();
        assert_eq!(written.place(5), written.place(0), "with entities only the beginning is known");
    }
}
