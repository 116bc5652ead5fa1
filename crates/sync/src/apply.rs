//! Applies ops to a document: the receiving half, for the Rust client and as the judge in tests.
//!
//! All or nothing: each op leaves behind how to take it back, and the first that does not fit
//! takes back those before it. The grammar is section 7 of protocol.md.

use std::fmt;

use serde_json::Value;

/// Applies `ops` to `document`, each on the result of the one before.
///
/// ```
/// use serde_json::json;
/// use windlass_sync::{ApplyError, apply};
///
/// let mut document = json!({"rows": [1, 2, 3], "text": "to"});
/// let ops = [json!([2, "rows", 0, 1]), json!([4, "text", "ken"])];
/// assert_eq!(apply(&mut document, &ops), Ok(()));
/// assert_eq!(document, json!({"rows": [2, 3], "text": "token"}));
///
/// let wrong = [json!(["text", "new"]), json!([2, "rows", 2, 1])];
/// assert_eq!(apply(&mut document, &wrong), Err(ApplyError::OutOfRange { op: 1 }));
/// assert_eq!(document["text"], "token");
/// ```
///
/// # Errors
///
/// The first op that does not fit; the document is then as it was. The caller asks for a snapshot.
pub fn apply(document: &mut Value, ops: &[Value]) -> Result<(), ApplyError> {
    let mut done = Vec::with_capacity(ops.len());
    for (index, op) in ops.iter().enumerate() {
        match step(document, op) {
            Ok(undo) => done.push(undo),
            Err(reason) => {
                for undo in done.into_iter().rev() {
                    undo.take_back(document);
                }
                return Err(reason.at(index));
            }
        }
    }
    Ok(())
}

/// Why ops do not apply; `op` is the index of the op that does not fit.
///
/// Whichever it is, the two documents differ: discard the frame and ask for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each field is the index that the enum's doc explains")]
pub enum ApplyError {
    /// The op is no array, has too few items, or has a value of the wrong type.
    Malformed { op: usize },
    /// No op has this number.
    UnknownOp { op: usize },
    /// A step or an op meets another kind of container than it is for, or none at all.
    WrongContainer { op: usize },
    /// The path leads through a key or an index that is not there.
    MissingParent { op: usize },
    /// An index is no integer, or beyond what the list allows.
    OutOfRange { op: usize },
    /// The indexes of a permutation are not each index of the list once.
    NotAPermutation { op: usize },
    /// An append to what is no string, or of what is no string.
    NotAString { op: usize },
    /// Deletion of a key that is not there.
    AbsentKey { op: usize },
}

impl ApplyError {
    /// The reason as the conformance files spell it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::UnknownOp { .. } => "unknown_op",
            Self::WrongContainer { .. } => "wrong_container",
            Self::MissingParent { .. } => "missing_parent",
            Self::OutOfRange { .. } => "out_of_range",
            Self::NotAPermutation { .. } => "not_a_permutation",
            Self::NotAString { .. } => "not_a_string",
            Self::AbsentKey { .. } => "absent_key",
        }
    }

    fn at(mut self, index: usize) -> Self {
        match &mut self {
            Self::Malformed { op }
            | Self::UnknownOp { op }
            | Self::WrongContainer { op }
            | Self::MissingParent { op }
            | Self::OutOfRange { op }
            | Self::NotAPermutation { op }
            | Self::NotAString { op }
            | Self::AbsentKey { op } => *op = index,
        }
        self
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an op does not apply: {self:?}")
    }
}

impl std::error::Error for ApplyError {}

const MALFORMED: ApplyError = ApplyError::Malformed { op: 0 };
const UNKNOWN_OP: ApplyError = ApplyError::UnknownOp { op: 0 };
const WRONG_CONTAINER: ApplyError = ApplyError::WrongContainer { op: 0 };
const MISSING_PARENT: ApplyError = ApplyError::MissingParent { op: 0 };
const OUT_OF_RANGE: ApplyError = ApplyError::OutOfRange { op: 0 };
const NOT_A_PERMUTATION: ApplyError = ApplyError::NotAPermutation { op: 0 };
const NOT_A_STRING: ApplyError = ApplyError::NotAString { op: 0 };
const ABSENT_KEY: ApplyError = ApplyError::AbsentKey { op: 0 };

/// How to take one op back, given the document right after it.
enum Undo<'a> {
    Root(Value),
    Item { parent: &'a [Value], step: &'a Value, old: Option<Value> },
    Append { parent: &'a [Value], step: &'a Value, length: usize },
    Insert { list: &'a [Value], at: usize, count: usize },
    Remove { list: &'a [Value], at: usize, old: Vec<Value> },
    Move { list: &'a [Value], from: usize, to: usize },
    Permute { list: &'a [Value], sources: Vec<usize> },
}

fn step<'a>(document: &mut Value, op: &'a Value) -> Result<Undo<'a>, ApplyError> {
    let items = op.as_array().ok_or(MALFORMED)?.as_slice();
    let code = match items.first() {
        Some(Value::String(_)) => return set(document, items),
        Some(Value::Number(code)) => index(code, 8).map_err(|_| UNKNOWN_OP)?,
        _ => return Err(UNKNOWN_OP),
    };
    let items = &items[1..];
    match (code, items) {
        (0, [.., value]) => {
            if !value.is_object() {
                return Err(WRONG_CONTAINER);
            }
            Ok(Undo::Root(std::mem::replace(document, value.clone())))
        }
        (1, [list @ .., at, value]) => insert(document, list, at, vec![value.clone()]),
        (7, [list @ .., at, run]) => {
            let run = run.as_array().ok_or(MALFORMED);
            self::list(document, list)?;
            insert(document, list, at, run?.clone())
        }
        (2, [list @ .., at, count]) => remove(document, list, at, count),
        (3, [list @ .., from, to]) => shift(document, list, from, to),
        (4, [parent @ .., step, tail]) => append(document, parent, step, tail),
        (5, [parent @ .., key]) => {
            let (Value::Object(map), Value::String(name)) = (reach(document, parent)?, key) else {
                return Err(WRONG_CONTAINER);
            };
            let old = map.remove(name).ok_or(ABSENT_KEY)?;
            Ok(Undo::Item { parent, step: key, old: Some(old) })
        }
        (8, [list @ .., sources]) => permute(document, list, sources),
        (0..=5 | 7 | 8, _) => Err(MALFORMED),
        _ => Err(UNKNOWN_OP),
    }
}

fn set<'a>(document: &mut Value, items: &'a [Value]) -> Result<Undo<'a>, ApplyError> {
    let [parent @ .., step, value] = items else { return Err(MALFORMED) };
    let old = match (reach(document, parent)?, step) {
        (Value::Object(map), Value::String(key)) => map.insert(key.clone(), value.clone()),
        (Value::Array(list), Value::Number(at)) => {
            let slot = list.len().checked_sub(1).ok_or(OUT_OF_RANGE).and_then(|max| index(at, max))?;
            Some(std::mem::replace(&mut list[slot], value.clone()))
        }
        _ => return Err(WRONG_CONTAINER),
    };
    Ok(Undo::Item { parent, step, old })
}

fn append<'a>(
    document: &mut Value,
    parent: &'a [Value],
    step: &'a Value,
    tail: &Value,
) -> Result<Undo<'a>, ApplyError> {
    let (Value::String(text), Value::String(tail)) = (child(reach(document, parent)?, step)?, tail) else {
        return Err(NOT_A_STRING);
    };
    let length = text.len();
    text.push_str(tail);
    Ok(Undo::Append { parent, step, length })
}

fn insert<'a>(document: &mut Value, path: &'a [Value], at: &Value, run: Vec<Value>) -> Result<Undo<'a>, ApplyError> {
    let list = list(document, path)?;
    let at = item(at, list.len())?;
    let count = run.len();
    list.splice(at..at, run);
    Ok(Undo::Insert { list: path, at, count })
}

fn remove<'a>(document: &mut Value, path: &'a [Value], at: &Value, count: &Value) -> Result<Undo<'a>, ApplyError> {
    let list = list(document, path)?;
    let at = item(at, list.len())?;
    let count = item(count, list.len() - at)?;
    if count == 0 {
        return Err(OUT_OF_RANGE);
    }
    Ok(Undo::Remove { list: path, at, old: list.drain(at..at + count).collect() })
}

fn shift<'a>(document: &mut Value, path: &'a [Value], from: &Value, to: &Value) -> Result<Undo<'a>, ApplyError> {
    let list = list(document, path)?;
    let last = list.len().checked_sub(1).ok_or(OUT_OF_RANGE)?;
    let (from, to) = (item(from, last)?, item(to, last)?);
    shift_item(list, from, to);
    Ok(Undo::Move { list: path, from, to })
}

fn shift_item(list: &mut [Value], from: usize, to: usize) {
    if from < to {
        list[from..=to].rotate_left(1);
    } else {
        list[to..=from].rotate_right(1);
    }
}

fn permute<'a>(document: &mut Value, path: &'a [Value], sources: &Value) -> Result<Undo<'a>, ApplyError> {
    let list = list(document, path)?;
    let indexes = sources.as_array().ok_or(MALFORMED)?;
    if indexes.len() != list.len() {
        return Err(NOT_A_PERMUTATION);
    }
    let mut taken = vec![false; list.len()];
    let mut sources = Vec::with_capacity(list.len());
    for source in indexes {
        let source = item(source, list.len() - 1).map_err(|_| NOT_A_PERMUTATION)?;
        if std::mem::replace(&mut taken[source], true) {
            return Err(NOT_A_PERMUTATION);
        }
        sources.push(source);
    }
    permute_items(list, &sources);
    Ok(Undo::Permute { list: path, sources })
}

fn permute_items(list: &mut [Value], sources: &[usize]) {
    let mut old: Vec<Value> = list.iter_mut().map(Value::take).collect();
    for (slot, &source) in list.iter_mut().zip(sources) {
        *slot = old[source].take();
    }
}

impl Undo<'_> {
    fn take_back(self, document: &mut Value) {
        const HELD: &str = "the op reached here, and what came after it has been taken back";
        match self {
            Undo::Root(old) => *document = old,
            Undo::Item { parent, step, old } => match (reach(document, parent).expect(HELD), step, old) {
                (Value::Object(map), Value::String(key), Some(old)) => drop(map.insert(key.clone(), old)),
                (Value::Object(map), Value::String(key), None) => drop(map.remove(key)),
                (list, step, Some(old)) => *child(list, step).expect(HELD) = old,
                (_, _, None) => unreachable!("a list's item replaced one"),
            },
            Undo::Append { parent, step, length } => {
                if let Value::String(text) = child(reach(document, parent).expect(HELD), step).expect(HELD) {
                    text.truncate(length);
                }
            }
            Undo::Insert { list: path, at, count } => drop(list(document, path).expect(HELD).drain(at..at + count)),
            Undo::Remove { list: path, at, old } => drop(list(document, path).expect(HELD).splice(at..at, old)),
            Undo::Move { list: path, from, to } => shift_item(list(document, path).expect(HELD), to, from),
            Undo::Permute { list: path, sources } => {
                let mut back = vec![0; sources.len()];
                for (slot, source) in sources.into_iter().enumerate() {
                    back[source] = slot;
                }
                permute_items(list(document, path).expect(HELD), &back);
            }
        }
    }
}

fn reach<'d>(document: &'d mut Value, path: &[Value]) -> Result<&'d mut Value, ApplyError> {
    let inner = path.iter().try_fold(document, child)?;
    if inner.is_object() || inner.is_array() { Ok(inner) } else { Err(WRONG_CONTAINER) }
}

fn list<'d>(document: &'d mut Value, path: &[Value]) -> Result<&'d mut Vec<Value>, ApplyError> {
    reach(document, path)?.as_array_mut().ok_or(WRONG_CONTAINER)
}

fn child<'d>(container: &'d mut Value, step: &Value) -> Result<&'d mut Value, ApplyError> {
    match (container, step) {
        (Value::Object(map), Value::String(key)) => map.get_mut(key).ok_or(MISSING_PARENT),
        (Value::Array(list), Value::Number(at)) => {
            let at = index(at, usize::MAX).map_err(|_| MISSING_PARENT)?;
            list.get_mut(at).ok_or(MISSING_PARENT)
        }
        _ => Err(WRONG_CONTAINER),
    }
}

fn item(value: &Value, max: usize) -> Result<usize, ApplyError> {
    value.as_number().ok_or(OUT_OF_RANGE).and_then(|number| index(number, max))
}

/// A JSON number that is an integer from 0 to `max`; `1.0` is the integer 1, as in JavaScript.
fn index(number: &serde_json::Number, max: usize) -> Result<usize, ApplyError> {
    let whole = number.as_u64().or_else(|| {
        let double = number.as_f64()?;
        // Below 2^53 every whole double is exact, and no list is longer.
        (double.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&double)).then_some(double as u64)
    });
    whole.and_then(|whole| usize::try_from(whole).ok()).filter(|&whole| whole <= max).ok_or(OUT_OF_RANGE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_op_is_taken_back_when_a_later_one_does_not_fit() {
        let before = json!({"rows": [{"a": 1}, 2, 3, 4], "text": "héllo", "map": {"x": 1}});
        let ops = [
            json!(["rows", 0, "a", 9]),
            json!(["rows", 0, "new", []]),
            json!(["rows", 1, {"b": 2}]),
            json!([1, "rows", 4, 5]),
            json!([7, "rows", 0, [7, 8]]),
            json!([2, "rows", 1, 3]),
            json!([3, "rows", 0, 2]),
            json!([8, "rows", [2, 0, 1, 3]]),
            json!([4, "text", "…"]),
            json!([5, "map", "x"]),
            json!([0, {"other": true}]),
            json!(["other", 1]),
        ];
        let mut document = before.clone();
        assert_eq!(apply(&mut document, &ops), Ok(()));
        for length in 1..=ops.len() {
            let mut failing = ops[..length].to_vec();
            failing.push(json!([5, "absent"]));
            let mut document = before.clone();
            assert_eq!(apply(&mut document, &failing), Err(ApplyError::AbsentKey { op: length }));
            assert_eq!(document, before);
        }
    }
}
