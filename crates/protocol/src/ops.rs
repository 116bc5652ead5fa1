//! Writes ops in the compact dialect, byte by byte, into a frame that is being built.
//!
//! The grammar is section 7 of protocol.md. An op is opened with [`open`], then come its steps and
//! arguments, then [`close`]; nothing here checks that an op has the items it needs.
//!
//! ```
//! use windlass_protocol::ops::{self, Op};
//!
//! let mut out = Vec::new();
//! ops::open(&mut out, Op::Set);
//! ops::text(&mut out, "rows");
//! ops::number(&mut out, 500);
//! ops::text(&mut out, "qty");
//! ops::number(&mut out, 99);
//! ops::close(&mut out);
//! assert_eq!(out, br#"["rows",500,"qty",99]"#);
//! ```

/// What an op does; all but a set begin with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `[key, …path, value]`: replaces or adds.
    Set,
    /// `[0, value]`: replaces the root.
    Root,
    /// `[1, …path, i, value]`.
    Insert,
    /// `[2, …path, i, n]`.
    Remove,
    /// `[3, …path, from, to]`.
    Move,
    /// `[4, …path, "tail"]`.
    Append,
    /// `[5, …path, key]`.
    Delete,
    /// `[7, …path, i, [v, …]]`.
    InsertRun,
    /// `[8, …path, [old, …]]`.
    Permute,
}

impl Op {
    /// The op's number on the wire; a set has none.
    #[must_use]
    pub fn number(self) -> Option<u8> {
        match self {
            Op::Set => None,
            Op::Root => Some(0),
            Op::Insert => Some(1),
            Op::Remove => Some(2),
            Op::Move => Some(3),
            Op::Append => Some(4),
            Op::Delete => Some(5),
            Op::InsertRun => Some(7),
            Op::Permute => Some(8),
        }
    }
}

/// Begins an op; the comma between two ops is the caller's.
pub fn open(out: &mut Vec<u8>, op: Op) {
    out.push(b'[');
    if let Some(number) = op.number() {
        out.push(b'0' + number);
    }
}

/// Begins an item: a comma, unless it is the first of its array.
pub fn item(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

/// An item that is a string: a key of the path, or a tail.
pub fn text(out: &mut Vec<u8>, text: &str) {
    item(out);
    string(out, text);
}

/// An item that is a whole number: an index of the path, or a count.
pub fn number(out: &mut Vec<u8>, number: usize) {
    item(out);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Ends an op.
pub fn close(out: &mut Vec<u8>) {
    out.push(b']');
}

/// A JSON string with its quotes, escaped as serde_json does it.
pub fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_serde_json_does_it() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain("𝄞\u{2028}".chars()).collect();
        for text in ["", "a", "\"", "\\\"", &all] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).expect("strings serialise"));
        }
    }
}
