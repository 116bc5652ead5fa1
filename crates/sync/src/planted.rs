//! Bugs that a test plants into the walk, to show that the naive judge sees each of them.
//!
//! Outside of this crate's own tests none is planted, and the compiler knows it.

/// A mistake of the kind that such code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Stepping back leaves overwritten words as they are.
    NoUndo,
    /// An announcement is believed for whatever value comes next.
    StaleAnnouncement,
    /// A tracked value with the same id counts as unchanged.
    IdAlone,
    /// What is gone from an object is not deleted.
    NoDelete,
    /// Long texts of one length count as one text.
    TextByLength,
    /// A move goes from where it should end.
    MoveBack,
    /// What is inserted comes one too late.
    InsertLate,
    /// Old words that were passed are lost when the walk goes elsewhere.
    NoFlush,
    /// A grouped list is walked row by row though its rows are others.
    NoOrder,
    /// A run of removed items is one too short.
    ShortRemoval,
}

/// Whether this bug is planted.
#[inline(always)]
pub(crate) fn is(bug: Bug) -> bool {
    #[cfg(test)]
    return tests::PLANTED.get() == Some(bug);
    #[cfg(not(test))]
    {
        let _ = bug;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::Serialize;
    use serde_json::Value;

    use super::Bug;
    use crate::{HashKey, Shadow, SyncVec, Tracked, apply};

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    #[derive(Clone, Serialize)]
    struct Row {
        id: u64,
        cells: Vec<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }

    #[derive(Clone, Serialize)]
    #[serde(tag = "kind")]
    enum Buffered {
        Outer(Inner),
    }

    #[derive(Clone, Serialize)]
    enum Inner {
        Rows { rows: Vec<Tracked<u64>> },
    }

    #[derive(Clone, Serialize)]
    struct State {
        text: String,
        rows: Vec<Row>,
        tracked: Vec<Tracked<Row>>,
        grouped: SyncVec<Row>,
        map: BTreeMap<u64, u64>,
        buffered: Buffered,
    }

    fn row(id: u64) -> Row {
        Row { id, cells: vec![id; 6], note: None }
    }

    /// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (word ^ word >> 31) as usize % end
        }
    }

    fn edit_row(row: &mut Row, random: &mut Random) {
        match random.below(3) {
            0 => row.note = if row.note.is_some() { None } else { Some("a note".into()) },
            1 => row.cells[random.below(6)] += 1,
            _ => {
                let at = random.below(5);
                row.cells[at] += 7;
                row.cells[at + 1] += 9;
            }
        }
    }

    fn edit(state: &mut State, random: &mut Random) {
        let new = 1000 + random.0 % 1_000_000;
        match random.below(11) {
            0 => state.text = state.text.chars().rev().collect(),
            1 => {
                let at = random.below(state.rows.len());
                edit_row(&mut state.rows[at], random);
            }
            2 => {
                let at = random.below(state.tracked.len());
                edit_row(&mut state.tracked[at], random);
            }
            3 => {
                let at = random.below(state.grouped.len());
                edit_row(&mut state.grouped[at], random);
            }
            4 => state.rows.insert(random.below(state.rows.len()), row(new)),
            5 => state.grouped.insert(random.below(state.grouped.len()), row(new)),
            6 => state.rows[3..9].rotate_left(1),
            7 => state.grouped.move_row(random.below(8), 9),
            8 if state.rows.len() > 12 => drop(state.rows.drain(2..4)),
            9 => {
                let key = random.below(6) as u64;
                if state.map.remove(&key).is_none() {
                    state.map.insert(key, new);
                }
            }
            _ => {
                let Buffered::Outer(Inner::Rows { rows }) = &mut state.buffered;
                *rows[random.below(3)] += 1;
            }
        }
    }

    /// Lives one history; what the judge complains of.
    fn live(seed: u64) -> Result<(), String> {
        let mut random = Random(seed);
        let mut state = State {
            text: "a text that is no palindrome".into(),
            rows: (0..12).map(row).collect(),
            tracked: (0..12).map(|id| Tracked::new(row(id))).collect(),
            grouped: (0..150).map(row).collect(),
            map: (0..3).map(|key| (key, key)).collect(),
            buffered: Buffered::Outer(Inner::Rows { rows: (0..3).map(Tracked::new).collect() }),
        };
        let mut shadow = Shadow::new(HashKey([seed, 1]));
        let mut out = Vec::new();
        shadow.snapshot(&state, &mut out).map_err(|error| error.to_string())?;
        let mut told: Value = serde_json::from_slice(&out).map_err(|error| error.to_string())?;
        for _ in 0..12 {
            for _ in 0..=random.below(2) {
                edit(&mut state, &mut random);
            }
            out.clear();
            shadow.diff(&state, &mut out).map_err(|error| error.to_string())?;
            let text = format!("[{}]", String::from_utf8_lossy(&out));
            let ops: Vec<Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            apply(&mut told, &ops).map_err(|error| error.to_string())?;
            if told != serde_json::to_value(&state).map_err(|error| error.to_string())? {
                return Err(format!("another document after {text}"));
            }
        }
        Ok(())
    }

    /// What the judge says of some histories with a bug, or without; a panic is a complaint as well.
    fn complaint(bug: Option<Bug>) -> Option<(u64, String)> {
        PLANTED.set(bug);
        let found = (0..200).find_map(|seed| {
            let lived = catch_unwind(AssertUnwindSafe(|| live(seed))).unwrap_or_else(|_| Err("a panic".into()));
            lived.err().map(|complaint| (seed, complaint))
        });
        PLANTED.set(None);
        found
    }

    #[test]
    fn without_a_planted_bug_nobody_complains() {
        assert_eq!(complaint(None), None, "the seed, and what it showed");
    }

    #[test]
    fn the_judge_sees_every_planted_bug() {
        let bugs = [
            Bug::NoUndo,
            Bug::StaleAnnouncement,
            Bug::IdAlone,
            Bug::NoDelete,
            Bug::TextByLength,
            Bug::MoveBack,
            Bug::InsertLate,
            Bug::NoFlush,
            Bug::NoOrder,
            Bug::ShortRemoval,
        ];
        for bug in bugs {
            assert!(complaint(Some(bug)).is_some(), "nobody saw {bug:?}");
        }
    }
}
