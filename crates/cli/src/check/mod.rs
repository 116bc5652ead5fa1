//! `windlass check`: holds pages against the app's types, before anybody opens them.
//!
//! Reads the `.d.ts` that `windlass types` writes, or asks the app itself. What the client would report in the browser it
//! reports with the same codes; what only types can tell it adds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use windlass_types::Description;

use crate::types::Source;

mod expression;
mod form;
mod html;
mod page;
mod types;

use page::{Finding, Rules};

/// Checks pages against an app's types: unknown paths, actions and fields, payloads that cannot be
///
/// Ends with 1 when something is wrong; each finding is a line `file:line:column: code: text`.
#[derive(Args)]
pub(crate) struct Options {
    /// Pages, or folders of them
    #[arg(required = true, value_name = "PAGE")]
    pages: Vec<PathBuf>,
    /// The file that `windlass types` has written; without it the app is run
    #[arg(short, long, value_name = "FILE")]
    types: Option<PathBuf>,
    /// A format that a script of the page adds, as `formats.shout = …`
    #[arg(long, value_name = "NAME")]
    format: Vec<String>,
    #[command(flatten)]
    source: Source,
}

pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok((0, pages)) => {
            println!("{} as the types say", counted(pages, "page is", "pages are"));
            ExitCode::SUCCESS
        }
        Ok((wrong, _)) => {
            eprintln!("{} wrong", counted(wrong, "thing is", "things are"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many findings and pages there are.
fn run(options: &Options) -> Result<(usize, usize), String> {
    let mut files = Vec::new();
    for page in &options.pages {
        let found = files.len();
        collect(page, &mut files).map_err(|error| format!("{} cannot be read: {error}", page.display()))?;
        if files.len() == found {
            return Err(format!("there is no page in {}: pages end with .html", page.display()));
        }
    }
    let text = match &options.types {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?
        }
        None => options.source.types()?,
    };
    let name = options.types.as_ref().map_or("the app's types".into(), |path| path.display().to_string());
    let description: Description = text.parse().map_err(|error| format!("{name}: {error}"))?;
    let rules = Rules { description: &description, formats: options.format.iter().map(|name| &**name).collect() };
    let mut wrong = 0;
    for file in &files {
        let page = read(file)?;
        for line in lines(file, &page, &findings_of(&page, &rules)) {
            println!("{line}");
            wrong += 1;
        }
    }
    Ok((wrong, files.len()))
}

/// The pages in a folder, in the order of their names; a file is one, whatever its name.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::metadata(path)?;
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let is_page = path.extension().is_some_and(|ending| ending == "html" || ending == "htm");
        // As the server does, names with a dot in front are left alone.
        if !name.to_string_lossy().starts_with('.') && (path.is_dir() || is_page) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// A page's text.
fn read(file: &Path) -> Result<String, String> {
    let cannot = |why: String| format!("{} cannot be read: {why}", file.display());
    let bytes = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if bytes > PAGE_BYTES_MAX {
        return Err(cannot(format!(
            "it has {bytes} bytes, and a page that is checked has at most {PAGE_BYTES_MAX}: put data and scripts into files of their own"
        )));
    }
    let bytes = std::fs::read(file).map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        cannot(format!("it is not UTF-8 from byte {} on: save it as UTF-8", error.utf8_error().valid_up_to()))
    })
}

/// All that is wrong in a page, also when it is none that can be walked.
fn findings_of(page: &str, rules: &Rules<'_>) -> Vec<Finding> {
    match html::parse(page) {
        Ok(root) => page::check(&root, rules),
        Err(html::TooDeep { at }) => {
            let text = format!("elements nest deeper than {} levels from here: end those before it", html::DEPTH_MAX);
            vec![Finding { at, code: "too_deep", text }]
        }
    }
}

/// A line of each finding, which are in order: the page is gone through once.
fn lines<'a>(file: &'a Path, page: &'a str, findings: &'a [Finding]) -> impl Iterator<Item = String> + 'a {
    let (mut at, mut line, mut column) = (0, 1, 1);
    findings.iter().map(move |Finding { at: place, code, text }| {
        for letter in page.get(at..*place).unwrap_or_default().chars() {
            (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        at = at.max(*place);
        format!("{}:{line}:{column}: {code}: {text}", file.display())
    })
}

fn counted(many: usize, one: &str, more: &str) -> String {
    format!("{many} {}", if many == 1 { one } else { more })
}

/// `"; did you mean 'todos'?"` when a known name is at most two letters away, else nothing; as the client says it.
fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let length = name.chars().count();
    let mut least = 3.min(length);
    let mut best = None;
    // One whose length is too far from the name's is too far from it as well.
    for other in known.into_iter().filter(|other| other.chars().count().abs_diff(length) < 3) {
        let far = distance(name, other);
        if far < least {
            (best, least) = (Some(other), far);
        }
    }
    best.map(|best| format!("; did you mean '{best}'?")).unwrap_or_default()
}

/// What a page may have: fifty times the largest of the examples.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many letters must be typed, deleted or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<_> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let next = (row[j + 1] + 1).min(row[j] + 1).min(corner + usize::from(a != b));
            corner = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &str = r#"
        export type State = Shop;
        export interface Actions {
            add(payload: number): null;
            clear(payload: null): null;
            rename(payload: Rename): null;
            place(payload: Place): null;
            order(payload: { rope: string, length: number, tarred: boolean, knots?: string[] }): null;
        }
        export interface Fields {
            open: { path: ["open"], value: boolean };
            note: { path: ["note"], value: string };
            "rows.name": { path: ["rows", { id: number }, "name"], value: string };
            "holds[name].crates[id].mark.text": { path: ["holds", { name: string }, "crates", { id: number }, "mark", "text"], value: string };
        }
        export interface Events {}
        export type JobName = never;
        export interface Rename { id: number; name: string; }
        export type Place = "top" | "middle";
        export interface Row { id: number; name: string; tags: string[]; place: Place; }
        export interface Shop { open: boolean; note: string; count: number; rows: Row[]; best: Row | null; holds: Hold[]; }
        export interface Hold { name: string; crates: Crate[]; }
        export interface Crate { id: number; mark: { text: string, id: number }; }
    "#;

    fn findings(page: &str) -> Vec<String> {
        let description: Description = TYPES.parse().expect("the types of this test are right");
        let rules = Rules { description: &description, formats: vec!["shout"] };
        lines(Path::new("p"), page, &findings_of(page, &rules)).collect()
    }

    #[test]
    fn pages_that_nobody_writes_are_refused_or_read() {
        for (page, findings_max) in [
            ("<div>".repeat(200_000), 1),
            ("<svg>".repeat(200_000), 1),
            ("<template w-if=open>".repeat(100_000), 1),
            ("<ul><li>".repeat(100_000), 1),
            (format!("<p w-text=\"{}open\">", "(".repeat(500_000)), 1),
            (format!("<p w-show=\"{}open\">", "!".repeat(500_000)), 1),
            (format!("<p w-text=\"open{}\">", " && open".repeat(100_000)), 1),
            (format!("<p w-text=\"{}1\">", "open ? 1 : ".repeat(100_000)), 1),
            (format!("<p w-text=\"count{}\">", " | number".repeat(100_000)), 1),
            (format!("<p w-{}=1>", "x".repeat(1_000_000)), 1),
            (format!("<p {}>", "a ".repeat(300_000)), 0),
            (format!("<p w-text=\"count\" title=\"{}\">", "x".repeat(3_000_000)), 0),
            ("<p w-txt=a>".repeat(2_000), 2_000),
            ("<p".repeat(500_000), 0),
            ("<!--".repeat(500_000), 0),
            ("\0<p w-text=\"co\0unt\">\0".to_owned(), 1),
            ("</div></template></p>".repeat(100_000), 0),
        ] {
            let found = findings(&page);
            assert_eq!(found.len(), findings_max, "{:?}: {:?}", &page[..page.len().min(60)], found.first());
        }
        let deep = findings(&"<div>".repeat(1_000));
        assert!(deep[0].contains("too_deep: elements nest deeper than 256 levels"), "{deep:?}");
    }

    /// Whatever a page holds, there are findings with a place or there are none.
    #[test]
    fn whatever_a_page_is_it_is_read() {
        const PIECES: [&str; 40] = [
            "<",
            ">",
            "</",
            "/>",
            "<p",
            "<div ",
            "<template ",
            "<form id=a ",
            "<input ",
            "<svg>",
            "</svg>",
            "<li>",
            "<table><tr><td>",
            "</template>",
            "</p>",
            "</form>",
            "w-each=\"row of rows\" ",
            "w-if=\"open\" ",
            "w-text=\"",
            "w-model=\"note\" ",
            "w-model='row.name' ",
            "w-on:click=\"add\" ",
            "w-on:submit='order' ",
            "w-arg:length=\"",
            "w-key=\"row.id\" ",
            "\"",
            "'",
            "=",
            " ",
            "count",
            "open ? 1 : 2",
            "(",
            "!",
            " && ",
            " | number 2",
            "$local.a = 1;",
            "\0",
            "ä",
            "&amp;",
            "<!--",
        ];
        let seed = std::env::var("WINDLASS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7_u64);
        println!("again: WINDLASS_SEED={seed} cargo nextest run -p windlass-cli whatever_a_page_is");
        let mut dice = seed;
        let mut below = |end: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) as usize % end
        };
        let mut found = 0;
        for _ in 0..5_000 {
            let page: String = (0..1 + below(60)).map(|_| PIECES[below(PIECES.len())]).collect();
            for finding in findings(&page) {
                assert!(finding.starts_with("p:"), "{finding}");
                found += 1;
            }
        }
        assert!(found > 1_000, "only {found} findings: nothing is read");
    }

    #[test]
    fn a_right_page_has_no_findings() {
        for page in [
            r#"<p w-text="count"></p><p w-show="best != null && rows.length > 0" w-text="best.name | upper"></p>"#,
            r#"<template w-each="row of rows" w-key="row.id"><li><b w-text="row.name"></b> <i w-text="$index"></i>
               <template w-each="tag of row.tags"><s w-text="tag" w-attr:title="row.name"></s></template>
               <input w-model="row.name"><input type="checkbox" w-model="open"><textarea w-model.debounce.200="note"></textarea>
               <button w-on:click="rename" w-arg:id="row.id" w-arg:name="'x'"></button></li></template>"#,
            r#"<button w-on:click="add" w-arg="1"></button><button w-on:click="clear; $local.open = !$local.open"></button>"#,
            r#"<input type="number" w-on:change="add"><input w-on:keydown.enter="place"><button w-on:click="place" w-arg="'top'">"#,
            r#"<form w-on:submit="order"><input name="rope"><input name="length" type="number"><input type="checkbox" name="tarred">
               <select name="knots" multiple><option>a</option></select><button name="how" disabled></button></form>"#,
            r#"<template w-each="job of $jobs" w-key="job.id"><p w-text="job.status == 'done' ? job.children.done : job.eta_ms | duration"></p></template>"#,
            r#"<p w-text="$connection.state == 'live' ? $location.hash : $event.whatever.it.is"></p><p w-text="note | shout"></p>"#,
            r#"<div w-ignore><p w-text="nothing.of.this"></p></div><template><p w-text="nor.this"></p></template>"#,
            r#"<p w-error="add"></p><input w-model="note"><p w-error="note"></p><p w-busy="train"></p>"#,
            r#"<button w-on:click="rename" w-arg="best"></button><p w-text="best.place == 'top'"></p>"#,
            r#"<template w-each="hold of holds" w-key="hold.name"><div><template w-each="crate of hold.crates" w-key="crate.id"><p>
               <input w-model="crate.mark.text"><template w-if="crate.mark.id > 0"><input w-model="open" type="checkbox"></template>
               </p></template></div></template>"#,
        ] {
            assert_eq!(findings(page), [""; 0], "{page}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_may_have_been_meant() {
        for (page, finding) in [
            ("<p w-text=\"cuont\">", "p:1:12: unknown_name: no 'cuont' in the state; did you mean 'count'?"),
            ("\n <p\n w-text=\"1 == best.nam\">", "p:3:20: unknown_name: no 'nam' in 'best'; did you mean 'name'?"),
            ("<p w-text=\"count.x\">", "p:1:18: unknown_name: 'count' is number, it has no 'x'"),
            (
                "<template w-each=\"row of rows\"><p w-text=\"row.title.x\"></p></template>",
                "p:1:47: unknown_name: no 'title' in 'row'",
            ),
            (
                "<template w-each=\"row of rows\"><p w-text=\"row.titl\"></p></template>",
                "p:1:47: unknown_name: no 'titl' in 'row'",
            ),
            (
                "<template w-each=\"row of count\"><p></p></template>",
                "p:1:26: not_a_list: 'count' is number, not a list",
            ),
            ("<template w-each=\"row in rows\"><p></p></template>", "p:1:19: expression: write it as 'todo of todos'"),
            (
                "<template w-each=\"r of rows\"><p></p><p></p></template>",
                "p:1:19: one_root: a template holds exactly one element, which is no template itself",
            ),
            ("<p w-each=\"row of rows\">", "p:1:12: template_only: put w-each on a <template> around one element"),
            ("<p w-txet=\"count\">", "p:1:12: unknown_attribute: there is no w-txet; did you mean 'text'?"),
            ("<p w-class=\"open\">", "p:1:13: unknown_attribute: say which one, as in w-class:name"),
            ("<p w-on:click.entr=\"clear\">", "p:1:21: unknown_attribute: there is no .entr; did you mean 'enter'?"),
            ("<p w-text=\"count | nummber\">", "p:1:20: unknown_format: no format 'nummber'; did you mean 'number'?"),
            ("<p w-attr:onclick=\"note\">", "p:1:20: refused_attribute: 'onclick' is not set from data"),
            ("<iframe src=x w-attr:title=\"note\">", "p:1:29: refused_element: nothing on a <iframe> is set from data"),
            ("<b w-on:click=\" clera\">", "p:1:17: unknown_action: no action 'clera'; did you mean 'clear'?"),
            ("<b w-on:click=\"add\">", "p:1:16: bad_payload: 'add' takes number, and gets nothing: say it with w-arg"),
            ("<b w-on:click=\"add\" w-arg=\"note\">", "p:1:16: bad_payload: 'add' takes number, and gets string"),
            ("<b w-on:click=\"clear\" w-arg=\"1\">", "p:1:16: bad_payload: 'clear' takes null, and gets 1"),
            (
                "<b w-on:click=\"place\" w-arg=\"'tpo'\">",
                "p:1:16: bad_payload: 'place' takes \"top\" | \"middle\", and gets \"tpo\"",
            ),
            (
                "<b w-on:click=\"rename\" w-arg:id=\"1\" w-arg:nmae=\"note\">",
                "p:1:16: bad_payload: 'rename' does not take 'nmae'; did you mean 'name'?",
            ),
            ("<b w-on:click=\"rename\" w-arg:id=\"1\">", "p:1:16: bad_payload: 'rename' needs 'name', which is string"),
            (
                "<form w-on:submit=\"order\"><input name=rope><input name=length><input type=checkbox name=tarred></form>",
                "p:1:20: bad_payload: 'order' takes number as 'length', and gets string",
            ),
            (
                "<form id=f w-on:submit=\"order\"><input name=rope><input name=tarred type=checkbox></form><input form=f name=lenght type=number>",
                "p:1:25: bad_payload: 'order' does not take 'lenght'; did you mean 'length'?",
            ),
            (
                "<b w-show=\"best.place == 'topp'\">",
                "p:1:12: never_equal: 'best.place' is never \"topp\", it is \"top\" | \"middle\" | undefined; did you mean 'top'?",
            ),
            ("<b w-show=\"count == '3'\">", "p:1:12: never_equal: 'count' is never \"3\", it is number"),
            (
                "<input w-model=\"count\">",
                "p:1:17: unknown_field: no page may write to 'count'; declare it with `App::field` or `App::row_field`",
            ),
            ("<input w-model=\"open\">", "p:1:17: bad_payload: 'open' takes boolean, and this control gives string"),
            (
                "<template w-each=\"row of rows\"><input w-model=\"row.name\"></template>",
                "p:1:48: no_key: a row is found again by its key: add w-key, such as w-key=\"todo.id\", to its w-each",
            ),
            (
                "<template w-each=\"row of rows\" w-key=\"row.name\"><input w-model=\"row.name\"></template>",
                "p:1:65: no_key: rows of 'rows' are told apart by their 'id': write w-key=\"row.id\"",
            ),
            (
                "<template w-each=\"hold of holds\"><p><template w-each=\"one of hold.crates\" w-key=\"one.id\"><input w-model=\"one.mark.text\"></template></p></template>",
                "p:1:106: no_key: a row is found again by its key: add w-key, such as w-key=\"todo.id\", to its w-each",
            ),
            (
                "<template w-each=\"hold of holds\" w-key=\"hold\"><p><template w-each=\"one of hold.crates\" w-key=\"one.id\"><input w-model=\"one.mark.text\"></template></p></template>",
                "p:1:119: no_key: a row is found again by its key: add w-key, such as w-key=\"todo.id\", to its w-each",
            ),
            (
                "<template w-each=\"hold of holds\" w-key=\"hold.name\"><p><template w-each=\"one of hold.crates\" w-key=\"one.mark\"><input w-model=\"one.mark.text\"></template></p></template>",
                "p:1:126: no_key: rows of 'holds.crates' are told apart by their 'id': write w-key=\"one.id\"",
            ),
            (
                "<template w-each=\"hold of holds\" w-key=\"hold.name\"><p><template w-each=\"one of hold.crates\" w-key=\"one.id\"><input w-model=\"one.mark.id\"></template></p></template>",
                "p:1:124: unknown_field: no page may write to 'holds.crates.mark.id'; declare it with `App::nested_field`",
            ),
            (
                "<p w-model=\"note\">",
                "p:1:13: not_a_control: w-model is for inputs that a person fills in, select and textarea",
            ),
            (
                "<p w-error=\"ad\">",
                "p:1:13: unknown_name: no action and no field 'ad' on this page; did you mean 'add'?",
            ),
            ("<p w-show=\"a &amp;&amp; open\">", "p:1:12: unknown_name: no 'a' in the state"),
        ] {
            assert_eq!(findings(page), [finding], "{page}");
        }
    }
}
