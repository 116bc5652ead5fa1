//! The words of the tape: every JSON value as a few 64-bit words that say what they are.
//!
//! A number is its own bits as a double. What is no number hides where doubles have their negative
//! NaNs, which are never stored: 16 bits of tag, 48 of payload. So one comparison of words tells a
//! changed value and a changed kind alike, and `1` and `1.0`, one JSON value, are one word.
//!
//! | value | words |
//! |---|---|
//! | number, null, boolean | 1 |
//! | text | tag and length, with the last 5 bytes of up to 13; the first 8 bytes, or the keyed hash of a longer text |
//! | integer beyond 2^53 | tag and sign, low, high |
//! | struct | tag, template and size in words; the values in the order of the template's names |
//! | map | tag and size; for each entry the key (tag and length, the bytes) and the value |
//! | list | tag and size, number of items; the items |
//! | tracked | tag and size, id, generation; the value |
//! | grouped list | tag and size, order, generation; a list of groups |
//! | group of rows | tag and size, generation, number of rows; the rows, or groups again |
//! | row of a group | tag and size, id, generation; the value |

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::planted::{self, Bug};

pub(crate) const NULL: u64 = tagged(Tag::Constant, 0);
pub(crate) const FALSE: u64 = tagged(Tag::Constant, 1);
pub(crate) const TRUE: u64 = tagged(Tag::Constant, 2);

/// Up to here every integer is a double; beyond, integers keep all their bits.
pub(crate) const EXACT_MAX: u64 = 1 << 53;

/// Set in a map's header when a key comes twice: then only the whole is right.
pub(crate) const REPEATED_KEY: u64 = 1 << 47;

/// A text of at most this many bytes is kept as it is: 8 in its second word, 5 beside its length.
const INLINE_MAX: usize = 13;

/// Set in the first word of a longer text; below it are the length and nothing else.
const HASHED: u64 = 1 << 47;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Tag {
    Constant = 0xfff1,
    /// An `f32` that is no whole number: as text it differs from the double of the same value.
    Single,
    Big,
    Text,
    /// JSON text of a `RawValue`.
    Raw,
    Struct,
    Map,
    Key,
    List,
    Tracked,
    Groups,
    Group,
    Row,
}

pub(crate) const fn tagged(tag: Tag, payload: u64) -> u64 {
    ((tag as u64) << 48) | payload
}

#[inline(always)]
pub(crate) fn is(word: u64, tag: Tag) -> bool {
    word >> 48 == tag as u64
}

#[inline(always)]
pub(crate) fn payload(word: u64) -> u64 {
    word & 0xffff_ffff_ffff
}

#[inline(always)]
pub(crate) fn struct_header(template: u16, size: usize) -> u64 {
    tagged(Tag::Struct, u64::from(template) << 32 | size as u64 & 0xffff_ffff)
}

#[inline(always)]
pub(crate) fn template(header: u64) -> u16 {
    (header >> 32) as u16
}

/// The number of words of the value that begins with `word`.
#[inline(always)]
pub(crate) fn size(word: u64) -> usize {
    if is(word, Tag::Text) || is(word, Tag::Raw) {
        2
    } else if is(word, Tag::Big) {
        3
    } else if is(word, Tag::Key) {
        1 + (payload(word) as usize).div_ceil(8)
    } else if word >> 48 >= Tag::Struct as u64 {
        (word & 0xffff_ffff) as usize
    } else {
        1
    }
}

/// The same of what is known to be a list, an object or a mark.
#[inline(always)]
pub(crate) fn container_size(header: u64) -> usize {
    (header & 0xffff_ffff) as usize
}

/// Whether the value that begins with `word` is neither list nor object.
#[inline(always)]
pub(crate) fn is_leaf(word: u64) -> bool {
    word >> 48 < Tag::Struct as u64
}

/// The words of a leaf.
#[derive(Clone, Copy)]
pub(crate) struct Leaf {
    words: [u64; 3],
    size: u8,
}

impl Leaf {
    #[inline(always)]
    pub(crate) fn one(word: u64) -> Self {
        Self { words: [word, 0, 0], size: 1 }
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..usize::from(self.size)]
    }

    #[inline(always)]
    pub(crate) fn bool(value: bool) -> Self {
        Self::one(if value { TRUE } else { FALSE })
    }

    #[inline(always)]
    pub(crate) fn signed(value: i64) -> Self {
        if value.unsigned_abs() <= EXACT_MAX { Self::one((value as f64).to_bits()) } else { Self::big(value.into()) }
    }

    #[inline(always)]
    pub(crate) fn unsigned(value: u64) -> Self {
        if value <= EXACT_MAX { Self::one((value as f64).to_bits()) } else { Self::big(value.into()) }
    }

    pub(crate) fn signed_128(value: i128) -> Self {
        i64::try_from(value).map_or_else(|_| Self::big(value), Self::signed)
    }

    pub(crate) fn unsigned_128(value: u128) -> Self {
        match i128::try_from(value) {
            Ok(value) => Self::signed_128(value),
            Err(_) => Self { words: [tagged(Tag::Big, 2), value as u64, (value >> 64) as u64], size: 3 },
        }
    }

    fn big(value: i128) -> Self {
        let sign = u64::from(value < 0);
        Self { words: [tagged(Tag::Big, sign), value as u64, (value >> 64) as u64], size: 3 }
    }

    #[inline(always)]
    pub(crate) fn double(value: f64) -> Self {
        Self::one(if value.is_finite() { value.to_bits() } else { NULL })
    }

    #[inline(always)]
    pub(crate) fn single(value: f32) -> Self {
        // Whole singles up to 2^24 print like the doubles they are.
        if value.is_finite() && (value.fract() != 0.0 || value.abs() > 16_777_216.0) {
            Self::one(tagged(Tag::Single, value.to_bits().into()))
        } else {
            Self::double(value.into())
        }
    }

    #[inline(always)]
    pub(crate) fn text(key: HashKey, text: &str) -> Self {
        let [header, digest] = text_words(key, text.as_bytes());
        Self { words: [header, digest, 0], size: 2 }
    }

    #[inline(always)]
    pub(crate) fn raw(key: HashKey, json: &str) -> Self {
        Self { words: [tagged(Tag::Raw, json.len() as u64), hash(key, json.as_bytes()), 0], size: 2 }
    }
}

/// The key of the hash over texts: an input, so that nobody who writes texts can make two collide.
#[derive(Clone, Copy, Debug)]
pub struct HashKey(pub [u64; 2]);

/// The words of a text.
#[inline(always)]
pub(crate) fn text_words(key: HashKey, bytes: &[u8]) -> [u64; 2] {
    let length = bytes.len();
    if length <= 8 {
        [tagged(Tag::Text, (length as u64) << 40), packed(bytes)]
    } else if length <= INLINE_MAX {
        // The last eight bytes, of which the first are among the first eight as well.
        let last = eight(bytes, length - 8) >> (8 * (16 - length));
        [tagged(Tag::Text, (length as u64) << 40 | last), eight(bytes, 0)]
    } else {
        [tagged(Tag::Text, HASHED | length as u64), hash(key, bytes)]
    }
}

/// Whether these are the words of a text; hashes it only when its length is the same.
#[inline(always)]
pub(crate) fn text_is(old: [u64; 2], key: HashKey, bytes: &[u8]) -> bool {
    if bytes.len() <= INLINE_MAX {
        old == text_words(key, bytes)
    } else {
        old[0] == tagged(Tag::Text, HASHED | bytes.len() as u64)
            && (old[1] == hash(key, bytes) || planted::is(Bug::TextByLength))
    }
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight"))
}

/// The length of the text that begins with `word`.
pub(crate) fn text_length(word: u64) -> usize {
    if word & HASHED != 0 { (word & (HASHED - 1)) as usize } else { (word >> 40 & 0xff) as usize }
}

/// The words of a text, if it begins with the whole text of two old words. One pass over the bytes.
pub(crate) fn appended(key: HashKey, old: [u64; 2], bytes: &[u8]) -> Option<[u64; 2]> {
    let (begin, tail) = bytes.split_at(text_length(old[0]));
    if begin.len() <= INLINE_MAX {
        return (text_words(key, begin) == old).then(|| text_words(key, bytes));
    }
    let mut hasher = SipHasher13::new_with_keys(key.0[0], key.0[1]);
    hasher.write(begin);
    if hasher.finish() != old[1] {
        return None;
    }
    hasher.write(tail);
    Some([tagged(Tag::Text, HASHED | bytes.len() as u64), hasher.finish()])
}

pub(crate) fn hash(key: HashKey, bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(key.0[0], key.0[1]).hash(bytes)
}

/// Up to 8 bytes as a word, the first lowest.
#[inline(always)]
pub(crate) fn packed(bytes: &[u8]) -> u64 {
    // Loads that overlap: a copy of unknown length would be a call.
    let half = |bytes: &[u8]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    match bytes.len() {
        0 => 0,
        length @ 1..=3 => byte(0) | byte(length / 2) | byte(length - 1),
        length => half(bytes) | half(&bytes[length - 4..]) << (8 * (length - 4)),
    }
}

/// Folds words into one that stands for them where a collision costs a larger patch and nothing else.
pub(crate) fn fingerprint(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |sum: u64, &word| {
        let wide = u128::from(sum.rotate_left(29) ^ word) * 0xd6e8_feb8_6659_fd93;
        (wide as u64) ^ (wide >> 64) as u64
    })
}

/// Whether the key that begins at `words` is `text`.
#[inline(always)]
pub(crate) fn key_is(words: &[u64], text: &str) -> bool {
    words[0] == tagged(Tag::Key, text.len() as u64)
        && text.as_bytes().chunks(8).zip(&words[1..]).all(|(chunk, &word)| packed(chunk) == word)
}

pub(crate) fn push_key(words: &mut Vec<u64>, text: &str) {
    words.push(tagged(Tag::Key, text.len() as u64));
    words.extend(text.as_bytes().chunks(8).map(packed));
}

/// Appends the text of the key that begins at `words`.
pub(crate) fn read_key(words: &[u64], text: &mut Vec<u8>) {
    let length = payload(words[0]) as usize;
    let end = text.len() + length;
    for word in &words[1..=length.div_ceil(8)] {
        text.extend_from_slice(&word.to_le_bytes());
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_their_bytes() {
        for length in 0..=8 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(&bytes);
            assert_eq!(packed(&bytes), u64::from_le_bytes(word));
        }
    }

    #[test]
    fn a_text_that_was_appended_to_is_known_by_its_beginning() {
        let key = HashKey([7, 9]);
        let text: Vec<u8> = (1..=40).collect();
        for length in 0..=text.len() {
            let whole = text_words(key, &text[..length]);
            assert_eq!(text_length(whole[0]), length);
            for split in 0..=length {
                let mut old = text_words(key, &text[..split]);
                assert_eq!(appended(key, old, &text[..length]), Some(whole));
                old[1] ^= 1 << 7;
                assert_eq!(appended(key, old, &text[..length]), None);
            }
        }
    }

    #[test]
    fn texts_that_differ_in_one_byte_have_other_words() {
        let key = HashKey([7, 9]);
        for length in 1..=20 {
            let text = vec![b'a'; length];
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'b';
                assert_ne!(text_words(key, &text), text_words(key, &other));
            }
        }
    }

    #[test]
    fn values_that_json_tells_apart_have_other_words() {
        let key = HashKey([7, 9]);
        let leaves = [
            Leaf::one(NULL),
            Leaf::bool(false),
            Leaf::bool(true),
            Leaf::signed(0),
            Leaf::signed(1),
            Leaf::signed(-1),
            Leaf::unsigned(EXACT_MAX),
            Leaf::unsigned(EXACT_MAX + 1),
            Leaf::unsigned(u64::MAX),
            Leaf::signed_128(-1 << 64),
            Leaf::unsigned_128(u128::MAX),
            Leaf::single(0.1),
            Leaf::double(0.1),
            Leaf::text(key, ""),
            Leaf::text(key, "\0"),
            Leaf::text(key, "1"),
            Leaf::raw(key, "1"),
        ];
        for (index, leaf) in leaves.iter().enumerate() {
            assert!(leaves[..index].iter().all(|other| other.words() != leaf.words()), "{index}");
            assert_eq!(size(leaf.words()[0]), leaf.words().len());
        }
        assert_eq!(Leaf::unsigned(1).words(), Leaf::double(1.0).words());
    }
}
