//! Every item that an app's author meets has an example that compiles.
//!
//! Looked at is what can be named through the root of `windlass` and of `windlass-client`: what is defined there, what is
//! re-exported of our other crates (but for `windlass::store`, which has docs of its own), and what is in `windlass::test`.
//!
//! - A type, a trait, a function, a constant or a macro has an example in its own docs, or, for a type or trait, in those of
//!   one of its methods.
//! - A method, a variant or a constant of a type or trait has one in its own docs, or one in the docs of its type (or of
//!   another member) that uses its name. Fields are shown by the example of their struct, which need not name all.
//!
//! An example is a fenced block that rustdoc compiles, so not one that is marked `text`, `ignore` or as another language. The
//! sources are read as `cargo fmt` writes them: items begin at the margin, their members four columns further.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, hold};

#[test]
fn every_public_item_has_an_example_that_compiles() {
    let files = files::all();
    let mut complaints = Vec::new();
    for root in ["windlass", "client"] {
        let lib = files::read(&format!("crates/{root}/src/lib.rs"));
        for (from, names) in exported(&lib, root) {
            let folder = format!("crates/{from}/src/");
            let sources = files.iter().filter(|file| file.path.starts_with(&folder));
            // What is in `windlass::test` is named by its path, and not by what is exported.
            let sources =
                sources.filter(|file| from != "windlass" || !file.path.starts_with("crates/windlass/src/test/"));
            complaints.extend(lacking(sources.map(|file| file.text.as_str()), Some(&names)));
        }
    }
    let test = files.iter().filter(|file| file.path.starts_with("crates/windlass/src/test/"));
    complaints.extend(lacking(test.map(|file| file.text.as_str()), None));
    hold("a public item has no example that compiles (tests/architecture/examples.rs has the rule):", complaints);
}

/// The names that a root gives on, by the folder of the crate that they are defined in.
fn exported(lib: &str, own: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let own_macros = found.entry(own.to_owned()).or_default();
    // Macros are exported by themselves.
    own_macros.insert("page".to_owned());
    let top = lib.split("pub mod prelude").next().unwrap_or_default();
    for statement in top.split("\npub use ").skip(1) {
        let statement: String = statement.split(';').next().unwrap_or_default().split_whitespace().collect();
        let (path, names) = statement.split_once("::").unwrap_or_default();
        let from = path.strip_prefix("windlass_").unwrap_or(own);
        let names = names.trim_start_matches('{').trim_end_matches('}').split(',').filter(|name| !name.is_empty());
        found
            .entry(from.to_owned())
            .or_default()
            .extend(names.map(|name| name.rsplit("::").next().unwrap_or(name).to_owned()));
    }
    found
}

/// A type, a trait or what stands alone, with its docs and members.
#[derive(Default)]
struct Item {
    docs: Vec<Docs>,
    members: Vec<(String, Docs)>,
    is_public: bool,
}

#[derive(Clone, Default)]
struct Docs(String);

impl Docs {
    /// The examples in it that rustdoc compiles.
    fn examples(&self) -> Vec<String> {
        let (mut found, mut open) = (Vec::new(), None);
        for line in self.0.lines() {
            let Some(tag) = line.trim().strip_prefix("```") else {
                if let Some((_, code)) = &mut open {
                    let code: &mut String = code;
                    *code += line;
                    code.push('\n');
                }
                continue;
            };
            match open.take() {
                None => open = Some((tag.split(',').all(|tag| COMPILED.contains(&tag.trim())), String::new())),
                Some((true, code)) => found.push(code),
                Some((false, _)) => {}
            }
        }
        found
    }
}

/// What sources lack of examples, of these names or of all.
fn lacking<'a>(sources: impl Iterator<Item = &'a str>, names: Option<&BTreeSet<String>>) -> Vec<String> {
    let mut items = BTreeMap::new();
    sources.for_each(|source| read(source, &mut items));
    let mut lacking = Vec::new();
    for (name, item) in
        items.iter().filter(|(name, item)| item.is_public && names.is_none_or(|names| names.contains(*name)))
    {
        let docs = || item.docs.iter().chain(item.members.iter().map(|(_, docs)| docs));
        let examples: Vec<_> = docs().flat_map(Docs::examples).collect();
        if examples.is_empty() {
            lacking.push(name.clone());
        }
        let unused = item.members.iter().filter(|(member, docs)| {
            docs.examples().is_empty() && !examples.iter().any(|example| uses(example, member))
        });
        lacking.extend(unused.map(|(member, _)| format!("{name}::{member}")));
    }
    lacking
}

fn uses(example: &str, name: &str) -> bool {
    example.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// Reads the items of one file.
fn read(source: &str, items: &mut BTreeMap<String, Item>) {
    let (mut docs, mut hidden, mut exported) = (Docs::default(), false, false);
    // Whose members these are, and which kind of line is one.
    let mut owner: Option<(String, Kind)> = None;
    let mut header = String::new();
    let mut attribute = false;
    for line in source.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text == "mod tests {" || text == "#[cfg(test)]" && indent == 0 {
            break;
        }
        if attribute || text.starts_with("#[") {
            hidden |= text.starts_with("#[doc(hidden)]");
            exported |= text.starts_with("#[macro_export]");
            // One of several lines ends where it began.
            attribute = !text.ends_with(']');
            continue;
        }
        if let Some(doc) = text.strip_prefix("///") {
            docs.0 += doc.strip_prefix(' ').unwrap_or(doc);
            docs.0.push('\n');
            continue;
        }
        if text.starts_with("//") {
            continue;
        }
        if indent == 0 && (header.starts_with("impl") || text.starts_with("impl")) {
            header += text;
            header.push(' ');
            if text.ends_with('{') {
                owner = implemented(&std::mem::take(&mut header)).map(|name| (name, Kind::Impl));
            } else if text.ends_with('}') {
                header.clear();
            }
            docs = Docs::default();
            continue;
        }
        if !header.is_empty() {
            // The bounds of an impl, indented.
            header += text;
            header.push(' ');
            if text.ends_with('{') {
                owner = implemented(&std::mem::take(&mut header)).map(|name| (name, Kind::Impl));
            }
            continue;
        }
        if indent == 0 {
            if text.starts_with('}') {
                owner = None;
            } else if let Some((kind, name)) = top(text, exported) {
                if !hidden {
                    let item = items.entry(name.clone()).or_default();
                    item.is_public = true;
                    item.docs.push(std::mem::take(&mut docs));
                    owner = (text.ends_with('{') && kind != Kind::Alone).then_some((name, kind));
                }
            } else if text.ends_with('{') {
                owner = None;
            }
        } else if indent == 4
            && let Some((name, kind)) = &owner
            && let Some(member) = member(*kind, text)
            && !hidden
        {
            items.entry(name.clone()).or_default().members.push((member, std::mem::take(&mut docs)));
        }
        if !text.is_empty() {
            (docs, hidden, exported) = (Docs::default(), false, false);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Struct,
    Enum,
    Trait,
    Impl,
    /// Without members.
    Alone,
}

/// The item that begins at the margin here.
fn top(text: &str, exported: bool) -> Option<(Kind, String)> {
    let name =
        |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned();
    if let Some(rest) = text.strip_prefix("macro_rules! ").filter(|_| exported) {
        return Some((Kind::Alone, name(rest)));
    }
    let text = text.strip_prefix("pub ")?;
    let kinds = [
        ("struct ", Kind::Struct),
        ("enum ", Kind::Enum),
        ("trait ", Kind::Trait),
        ("const fn ", Kind::Alone),
        ("async fn ", Kind::Alone),
        ("fn ", Kind::Alone),
        ("const ", Kind::Alone),
        ("type ", Kind::Alone),
    ];
    kinds.into_iter().find_map(|(word, kind)| Some((kind, name(text.strip_prefix(word)?))))
}

/// The name of the member that this line begins.
fn member(kind: Kind, text: &str) -> Option<String> {
    let word = |rest: &str| {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some(name)
    };
    let function = |text: &str| {
        let text = ["const ", "async "].iter().fold(text, |text, word| match text.strip_prefix(word) {
            Some(rest) if rest.starts_with("fn ") => rest,
            _ => text,
        });
        text.strip_prefix("fn ").or_else(|| text.strip_prefix("const ")).and_then(word)
    };
    match kind {
        // Its fields.
        Kind::Struct => None,
        Kind::Enum => text.chars().next().filter(char::is_ascii_uppercase).and_then(|_| word(text)),
        Kind::Trait => function(text),
        Kind::Impl => text.strip_prefix("pub ").and_then(function),
        Kind::Alone => None,
    }
}

/// The type whose own methods an `impl` has; none for those of a trait.
fn implemented(header: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut plain = String::new();
    for c in header.strip_prefix("impl")?.replace("->", "").chars() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let subject = plain.split(" where ").next().unwrap_or_default();
    let is_of_trait = subject.contains(" for ");
    (!is_of_trait).then(|| subject.trim().trim_end_matches('{').trim().to_owned())
}

/// What the fence of a block says that rustdoc compiles.
const COMPILED: &[&str] = &["", "rust", "no_run", "should_panic", "compile_fail"];

#[test]
fn what_has_no_example_is_found() {
    let source = r#"
/// Has one.
///
/// ```
/// let it = It::new(1);
/// ```
#[derive(Debug)]
pub struct It {
    /// How many.
    pub count: u64,
    hidden: u64,
}

impl<T: Fn(u8) -> u8> It<T>
where
    T: Copy,
{
    /// Makes one.
    #[must_use]
    pub fn new(count: u64) -> Self {
        Self { count, hidden: 0 }
    }

    /// Nobody shows this.
    pub const fn alone(&self) {}

    pub(crate) fn inside(&self) {}
}

impl Clone for It {
    fn clone(&self) -> Self {}
}

/// ```text
/// no code
/// ```
pub enum Which {
    /// The one.
    One,
    Other(u8),
}

/// ```no_run
/// use Does;
/// ```
pub trait Does {
    /// Asked for.
    fn ask(&self);
}

/// Has one.
#[macro_export]
macro_rules! made {
    () => {};
}

#[doc(hidden)]
pub fn unseen() {}
"#;
    let all = lacking([source].into_iter(), None);
    assert_eq!(all, ["Does::ask", "It::alone", "Which", "Which::One", "Which::Other", "made"]);
    let only = BTreeSet::from(["Does".to_owned()]);
    assert_eq!(lacking([source].into_iter(), Some(&only)), ["Does::ask"]);
    let lib = "\npub use app::App;\n#[cfg(unix)]\npub use windlass_jobs::{\n    Child, Job,\n};\npub use windlass_store as store;\npub mod prelude {\n    pub use x::Y;\n";
    let found = exported(lib, "windlass");
    assert_eq!(found["jobs"].iter().collect::<Vec<_>>(), ["Child", "Job"]);
    assert_eq!(found["windlass"].iter().collect::<Vec<_>>(), ["App", "page"]);
}
