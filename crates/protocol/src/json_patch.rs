//! From the ops of a delta to a JSON Patch (RFC 6902), for the dialect that any language has a library for.
//!
//! Most ops become standard ones as they stand. Two cannot be said without the value that they
//! change: text that grows, unless the client knows `append`, and the permutation of a list. Their
//! place is followed through the ops that come after, and at the end of the patch it is replaced by
//! what the document holds there in the end. So nobody needs to keep the document as it was.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::ops;

/// Appends to `out` what `ops` do, as the operations of a JSON Patch with commas between them.
///
/// `ops` are those of one delta, with commas between them and no brackets around. `document` gives the document
/// that they lead to, as JSON text, or none when it cannot; it is asked at most once, and only when a value of it is
/// needed or the patch is long. A patch over 4 KiB that is longer than the document is one replacement of the root instead.
///
/// ```
/// use windlass_protocol::json_patch;
///
/// let ops = br#"["name","x"],[2,"rows",1,2],[4,"log","!"]"#;
/// let mut out = Vec::new();
/// let document = || Some(br#"{"name":"x","rows":[1],"log":"hi!"}"#.to_vec());
/// json_patch::write(&mut out, ops, false, document).unwrap();
/// let patch = concat!(
///     r#"{"op":"add","path":"/name","value":"x"},"#,
///     r#"{"op":"remove","path":"/rows/1"},{"op":"remove","path":"/rows/1"},"#,
///     r#"{"op":"replace","path":"/log","value":"hi!"}"#
/// );
/// assert_eq!(String::from_utf8(out).unwrap(), patch);
/// ```
///
/// # Errors
///
/// [`NoPatch`], with nothing written: send a snapshot.
pub fn write(
    out: &mut Vec<u8>,
    ops: &[u8],
    appends: bool,
    document: impl FnOnce() -> Option<Vec<u8>>,
) -> Result<(), NoPatch> {
    let start = out.len();
    let mut patch = Patch { out, start, appends, open: Vec::new() };
    let list = [b"[", ops, b"]"].concat();
    let ops: Vec<Vec<&RawValue>> = serde_json::from_slice(&list).map_err(|_| NoPatch)?;
    for op in &ops {
        patch.op(op).map_err(|error| patch.forget(error))?;
    }
    let mut open = std::mem::take(&mut patch.open);
    let is_long = |patch: &Patch<'_>| patch.out.len() - start > SHORT;
    if open.is_empty() && !is_long(&patch) {
        return Ok(());
    }
    let document = document().ok_or(NoPatch).map_err(|error| patch.forget(error))?;
    open.sort();
    let values = values(&document, &open).ok_or(NoPatch).map_err(|error| patch.forget(error))?;
    for (place, value) in open.iter().zip(values) {
        patch.begin("replace", place);
        patch.value(value.get().as_bytes());
    }
    if is_long(&patch) && patch.out.len() - start > document.len() + WHOLE {
        patch.out.truncate(start);
        patch.begin("replace", &[]);
        patch.value(&document);
    }
    Ok(())
}

/// What a document holds at these places, which are sorted and not inside each other. The text itself: reading and
/// writing a number again could change it.
fn values<'d>(document: &'d [u8], places: &[Vec<Step>]) -> Option<Vec<&'d RawValue>> {
    let mut found = Vec::with_capacity(places.len());
    find(serde_json::from_slice(document).ok()?, 0, places, &mut found)?;
    Some(found)
}

fn find<'d>(value: &'d RawValue, depth: usize, places: &[Vec<Step>], found: &mut Vec<&'d RawValue>) -> Option<()> {
    let Some(first) = places.first() else { return Some(()) };
    let Some(step) = first.get(depth) else {
        found.push(value);
        return Some(());
    };
    let (mut members, mut items) = (BTreeMap::<String, &RawValue>::new(), Vec::<&RawValue>::new());
    match step {
        Step::Key(_) => members = read(value).ok()?,
        Step::Index(_) => items = read(value).ok()?,
    }
    for group in places.chunk_by(|one, next| one.get(depth) == next.get(depth)) {
        let inner = match group[0].get(depth)? {
            Step::Key(key) => members.get(key)?,
            Step::Index(at) => items.get(*at)?,
        };
        find(inner, depth + 1, group, found)?;
    }
    Some(())
}

/// There is no patch: the ops are none, or the document cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPatch;

impl std::fmt::Display for NoPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the change cannot be said as a patch")
    }
}

impl std::error::Error for NoPatch {}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

struct Patch<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    appends: bool,
    /// Places whose value comes at the end, where they are now; none is inside another.
    open: Vec<Vec<Step>>,
}

impl Patch<'_> {
    fn forget(&mut self, error: NoPatch) -> NoPatch {
        self.out.truncate(self.start);
        error
    }

    fn op(&mut self, items: &[&RawValue]) -> Result<(), NoPatch> {
        let first = items.first().ok_or(NoPatch)?.get();
        if first.starts_with('"') {
            let (value, path) = items.split_last().ok_or(NoPatch)?;
            return self.set(path, value);
        }
        let items = &items[1..];
        match (first, items) {
            ("0", [value]) => {
                self.open.clear();
                self.begin("replace", &[]);
                self.value(value.get().as_bytes());
            }
            ("1", [list @ .., at, value]) => self.insert(&path(list)?, index(at)?, &[value])?,
            ("7", [list @ .., at, run]) => {
                let run: Vec<&RawValue> = read(run)?;
                self.insert(&path(list)?, index(at)?, &run)?;
            }
            ("2", [list @ .., at, count]) => self.remove(&path(list)?, index(at)?, index(count)?),
            ("3", [list @ .., from, to]) => self.shift(&path(list)?, index(from)?, index(to)?),
            ("4", [place @ .., tail]) => self.append(path(place)?, tail),
            ("5", [parent @ .., key]) => {
                let place = joined(&path(parent)?, Step::Key(read(key)?));
                if !self.is_open_above(&place) {
                    self.shut(&place);
                    self.begin("remove", &place);
                    self.end();
                }
            }
            ("8", [list @ .., _]) => self.open(path(list)?),
            _ => return Err(NoPatch),
        }
        Ok(())
    }

    fn set(&mut self, steps: &[&RawValue], value: &RawValue) -> Result<(), NoPatch> {
        let place = path(steps)?;
        if self.is_open_above(&place) {
            return Ok(());
        }
        self.shut(&place);
        // `add` replaces a member that is there (RFC 6902, section 4.1), but shifts the items of a list.
        self.begin(if let Some(Step::Index(_)) = place.last() { "replace" } else { "add" }, &place);
        self.value(value.get().as_bytes());
        Ok(())
    }

    fn insert(&mut self, list: &[Step], at: usize, run: &[&RawValue]) -> Result<(), NoPatch> {
        if self.is_open(list) {
            return Ok(());
        }
        self.renumber(list, |item| Some(if item < at { item } else { item + run.len() }));
        for (more, value) in run.iter().enumerate() {
            self.begin("add", &joined(list, Step::Index(at + more)));
            self.value(value.get().as_bytes());
        }
        Ok(())
    }

    fn remove(&mut self, list: &[Step], at: usize, count: usize) {
        if self.is_open(list) {
            return;
        }
        self.renumber(list, |item| match item {
            _ if item < at => Some(item),
            _ if item < at + count => None,
            _ => Some(item - count),
        });
        let place = joined(list, Step::Index(at));
        for _ in 0..count {
            self.begin("remove", &place);
            self.end();
        }
    }

    fn shift(&mut self, list: &[Step], from: usize, to: usize) {
        if self.is_open(list) {
            return;
        }
        self.renumber(list, |item| {
            Some(match item {
                _ if item == from => to,
                _ if from < item && item <= to => item - 1,
                _ if to <= item && item < from => item + 1,
                _ => item,
            })
        });
        self.begin("move", &joined(list, Step::Index(to)));
        self.out.extend_from_slice(b",\"from\":");
        pointer(self.out, &joined(list, Step::Index(from)));
        self.end();
    }

    fn append(&mut self, place: Vec<Step>, tail: &RawValue) {
        if !self.appends {
            self.open(place);
        } else if !self.is_open(&place) {
            self.begin("append", &place);
            self.value(tail.get().as_bytes());
        }
    }

    /// Whether the place is one that comes at the end, or inside one.
    fn is_open(&self, place: &[Step]) -> bool {
        self.open.iter().any(|open| place.starts_with(open))
    }

    /// Whether the place is inside one that comes at the end.
    fn is_open_above(&self, place: &[Step]) -> bool {
        self.open.iter().any(|open| place.len() > open.len() && place.starts_with(open))
    }

    /// From here on the place comes at the end, with all that is in it.
    fn open(&mut self, place: Vec<Step>) {
        if self.is_open(&place) {
            return;
        }
        self.shut(&place);
        // The value of one that holds them all is no longer than all of theirs, nearly; and looking through them costs.
        if self.open.len() == PLACES_MAX {
            self.open.clear();
            self.open.push(Vec::new());
        } else {
            self.open.push(place);
        }
    }

    /// The place gets another value, or none: nothing in it comes at the end.
    fn shut(&mut self, place: &[Step]) {
        self.open.retain(|open| !open.starts_with(place));
    }

    /// The items of a list are somewhere else, or gone.
    fn renumber(&mut self, list: &[Step], to: impl Fn(usize) -> Option<usize>) {
        self.open.retain_mut(|open| match open.strip_prefix(list) {
            Some([Step::Index(item), ..]) => match to(*item) {
                Some(item) => {
                    open[list.len()] = Step::Index(item);
                    true
                }
                None => false,
            },
            _ => true,
        });
    }

    fn begin(&mut self, op: &str, place: &[Step]) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"op\":\"");
        self.out.extend_from_slice(op.as_bytes());
        self.out.extend_from_slice(b"\",\"path\":");
        pointer(self.out, place);
    }

    fn value(&mut self, value: &[u8]) {
        self.out.extend_from_slice(b",\"value\":");
        self.out.extend_from_slice(value);
        self.end();
    }

    fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// A JSON Pointer (RFC 6901) as a JSON string.
fn pointer(out: &mut Vec<u8>, place: &[Step]) {
    use std::fmt::Write as _;

    let mut text = String::new();
    for step in place {
        text.push('/');
        match step {
            Step::Key(key) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Index(at) => _ = write!(text, "{at}"),
        }
    }
    ops::string(out, &text);
}

fn joined(list: &[Step], step: Step) -> Vec<Step> {
    let mut place = Vec::with_capacity(list.len() + 1);
    place.extend_from_slice(list);
    place.push(step);
    place
}

fn path(items: &[&RawValue]) -> Result<Vec<Step>, NoPatch> {
    let step = |item: &&RawValue| {
        if item.get().starts_with('"') { read(item).map(Step::Key) } else { index(item).map(Step::Index) }
    };
    items.iter().map(step).collect()
}

/// `1.0` is the integer 1, as it is to who applies the ops.
fn index(item: &RawValue) -> Result<usize, NoPatch> {
    read(item).or_else(|NoPatch| {
        let double: f64 = read(item)?;
        let whole = double.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&double);
        whole.then_some(double as usize).ok_or(NoPatch)
    })
}

fn read<'a, T: serde::Deserialize<'a>>(item: &'a RawValue) -> Result<T, NoPatch> {
    serde_json::from_str(item.get()).map_err(|_| NoPatch)
}

/// Below it nobody asks whether the whole document would be shorter: writing that costs more than the bytes.
const SHORT: usize = 4096;
/// What is around a document that replaces the root.
const WHOLE: usize = br#"{"op":"replace","path":"","value":}"#.len();
/// Each op looks through them all.
const PLACES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn patch(ops: &str, appends: bool, document: &Value) -> String {
        let mut out = b"before".to_vec();
        write(&mut out, ops.as_bytes(), appends, || Some(document.to_string().into_bytes())).unwrap();
        String::from_utf8(out.split_off(6)).unwrap()
    }

    /// The ops become these operations, which a library applies.
    fn check(before: Value, ops: &str, expected: Value, after: Value) {
        let patch = format!("[{}]", patch(ops, false, &after));
        assert_eq!(serde_json::from_str::<Value>(&patch).unwrap(), expected, "{ops}");
        let mut document = before;
        json_patch::patch(&mut document, &serde_json::from_str::<json_patch::Patch>(&patch).unwrap()).unwrap();
        assert_eq!(document, after, "{ops}");
    }

    #[test]
    fn each_op_becomes_standard_ones() {
        check(
            json!({"a": {"b": [1, 2]}}),
            r#"["a","b",1,3],["a","c",null]"#,
            json!([{"op": "replace", "path": "/a/b/1", "value": 3}, {"op": "add", "path": "/a/c", "value": null}]),
            json!({"a": {"b": [1, 3], "c": null}}),
        );
        check(
            json!({"rows": [1, 2, 3, 4]}),
            r#"[1,"rows",4,5],[7,"rows",0,[8,9]],[2,"rows",1,2],[3,"rows",0,3]"#,
            json!([
                {"op": "add", "path": "/rows/4", "value": 5},
                {"op": "add", "path": "/rows/0", "value": 8},
                {"op": "add", "path": "/rows/1", "value": 9},
                {"op": "remove", "path": "/rows/1"},
                {"op": "remove", "path": "/rows/1"},
                {"op": "move", "from": "/rows/0", "path": "/rows/3"},
            ]),
            json!({"rows": [2, 3, 4, 8, 5]}),
        );
        check(json!({"a": 1, "b": 2}), r#"[5,"a"]"#, json!([{"op": "remove", "path": "/a"}]), json!({"b": 2}));
        check(
            json!({"a": 1}),
            r#"[0,{"b":2}]"#,
            json!([{"op": "replace", "path": "", "value": {"b": 2}}]),
            json!({"b": 2}),
        );
    }

    #[test]
    fn keys_are_escaped_as_pointers_want_it() {
        check(
            json!({"": {"~1/": {"\"": 1}}, "0": 1}),
            r#"["","~1/","\"",2],["0",3],["\u0041\n","x"]"#,
            json!([
                {"op": "add", "path": "//~01~1/\"", "value": 2},
                {"op": "add", "path": "/0", "value": 3},
                {"op": "add", "path": "/A\n", "value": "x"},
            ]),
            json!({"": {"~1/": {"\"": 2}}, "0": 3, "A\n": "x"}),
        );
    }

    #[test]
    fn text_that_grows_and_lists_that_are_sorted_come_whole_at_the_end_where_they_are_then() {
        check(
            json!({"rows": [{"t": "a"}, {"t": "b"}, {"t": "c"}], "n": 1}),
            r#"[4,"rows",1,"t","!"],[4,"rows",2,"t","?"],[2,"rows",2,1],[1,"rows",0,{}],[3,"rows",2,0],[4,"rows",0,"t","!"],["n",2]"#,
            json!([
                {"op": "remove", "path": "/rows/2"},
                {"op": "add", "path": "/rows/0", "value": {}},
                {"op": "move", "from": "/rows/2", "path": "/rows/0"},
                {"op": "add", "path": "/n", "value": 2},
                {"op": "replace", "path": "/rows/0/t", "value": "b!!"},
            ]),
            json!({"rows": [{"t": "b!!"}, {}, {"t": "a"}], "n": 2}),
        );
        check(
            json!({"rows": [[1, "a"], [2], [3]]}),
            r#"[4,"rows",0,1,"b"],[8,"rows",[2,0,1]],["rows",0,0,9],[2,"rows",2,1],[1,"rows",0,[]]"#,
            json!([{"op": "replace", "path": "/rows", "value": [[], [9], [1, "ab"]]}]),
            json!({"rows": [[], [9], [1, "ab"]]}),
        );
        check(
            json!({"rows": [2, 1], "t": "a", "m": {"t": "b"}}),
            r#"[8,"rows",[1,0]],["rows",[5]],[4,"t","b"],[5,"t"],[4,"m","t","c"],["m",{}]"#,
            json!([
                {"op": "add", "path": "/rows", "value": [5]},
                {"op": "remove", "path": "/t"},
                {"op": "add", "path": "/m", "value": {}},
            ]),
            json!({"rows": [5], "m": {}}),
        );
    }

    #[test]
    fn a_client_that_can_gets_the_tail_of_text_alone() {
        let document = json!({"t": "a longer text", "rows": [2, 1]});
        let patch = patch(r#"[4,"t"," text"],[8,"rows",[1,0]]"#, true, &document);
        assert_eq!(
            patch,
            r#"{"op":"append","path":"/t","value":" text"},{"op":"replace","path":"/rows","value":[2,1]}"#
        );
    }

    #[test]
    fn a_patch_is_hardly_longer_than_the_document() {
        let whole = |ops: &str, document: &Value| {
            let patch = patch(ops, false, document);
            assert!(patch.len() <= SHORT || patch.len() <= document.to_string().len() + WHOLE, "{}", patch.len());
            patch.starts_with(r#"{"op":"replace","path":"","value":{"#)
        };
        assert!(whole(r#"[2,"rows",0,5000]"#, &json!({"rows": []})));
        assert!(!whole(r#"[2,"rows",0,50]"#, &json!({"rows": []})), "a few bytes are not worth the document");
        let rows: Vec<_> = (0..PLACES_MAX * 2).map(|n| format!("text {n}!")).collect();
        let ops: Vec<_> = (0..rows.len()).map(|n| format!(r#"[4,"rows",{n},"!"]"#)).collect();
        assert!(whole(&ops.join(","), &json!({ "rows": rows })));
    }

    #[test]
    fn without_the_document_there_is_no_patch_and_nothing_is_written() {
        let mut out = b"before".to_vec();
        assert_eq!(write(&mut out, br#"["a",1],[4,"t","x"]"#, false, || None), Err(NoPatch));
        for malformed in [&b"7"[..], b"[]", b"[6,\"t\",1]", b"[2,\"t\"]", b"[\"a\",-1,1]", b"[\"a\",1],"] {
            let written = write(&mut out, malformed, false, || unreachable!("not asked"));
            assert_eq!(written, Err(NoPatch), "{}", String::from_utf8_lossy(malformed));
        }
        assert_eq!(out, b"before");
        assert_eq!(write(&mut out, b"", false, || None), Ok(()));
        assert_eq!(out, b"before");
    }

    #[test]
    fn values_of_the_document_go_as_they_are_written_there() {
        let deep = format!("{}1.2591951518251188e37{}", "[".repeat(500), "]".repeat(500));
        let document = format!(r#"{{"a":[0,{{"t":"\u0061b"}}],"list":[{deep},1.0],"z":"ab"}}"#);
        let mut out = Vec::new();
        let ops = br#"[4,"z","b"],[8,"list",[1,0]],[4,"a",1,"t","b"]"#;
        write(&mut out, ops, false, || Some(document.clone().into_bytes())).unwrap();
        let expected = format!(
            r#"{{"op":"replace","path":"/a/1/t","value":"\u0061b"}},{{"op":"replace","path":"/list","value":[{deep},1.0]}},{{"op":"replace","path":"/z","value":"ab"}}"#
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let lacks = |ops: &[u8]| write(&mut Vec::new(), ops, false, || Some(document.clone().into_bytes()));
        assert_eq!(lacks(br#"[4,"y","b"]"#), Err(NoPatch), "the document is another one");
        assert_eq!(lacks(br#"[4,"a",2,"b"]"#), Err(NoPatch));
        assert_eq!(lacks(br#"[4,"z",0,"b"]"#), Err(NoPatch));
    }
}
