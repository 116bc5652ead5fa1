//! The disk of one session, as a store has it: what is kept, what is being written, and what a crash leaves of that.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::random::Random;

#[derive(Debug, Default)]
pub(crate) struct Disk {
    stored: Option<Bytes>,
    /// What a crash has left of a record that was being written; whoever reads it falls back to what was stored before.
    torn: Option<Bytes>,
    writing: VecDeque<Write>,
    /// How much the session was told to be saved.
    floor: (usize, usize),
}

/// A record that is to be stored.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) turn: u64,
    pub(crate) bytes: Bytes,
    /// How many actions and updates are in it.
    holds: (usize, usize),
}

impl Disk {
    pub(crate) fn stored(&self) -> Option<&Bytes> {
        self.stored.as_ref()
    }

    pub(crate) fn take_torn(&mut self) -> Option<Bytes> {
        self.torn.take()
    }

    pub(crate) fn floor(&self) -> (usize, usize) {
        self.floor
    }

    pub(crate) fn write(&mut self, turn: u64, holds: (usize, usize), bytes: Bytes) {
        self.writing.push_back(Write { turn, bytes, holds });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.writing.is_empty()
    }

    /// The oldest record that is not answered.
    pub(crate) fn next(&mut self) -> Option<Write> {
        self.writing.pop_front()
    }

    /// The one that is asked for next, before it is stored.
    pub(crate) fn waiting(&mut self) -> Option<&mut Write> {
        self.writing.front_mut()
    }

    pub(crate) fn store(&mut self, bytes: Bytes) {
        self.stored = Some(bytes);
        self.torn = None;
    }

    /// The session is told that this is stored.
    pub(crate) fn told(&mut self, write: &Write) {
        self.floor = (self.floor.0.max(write.holds.0), self.floor.1.max(write.holds.1));
    }

    /// The process ends: of what was being written some is stored, and of one more a part.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let stored = random.index(self.writing.len() + 1);
        for _ in 0..stored {
            let write = self.next().expect("so many there were");
            self.store(write.bytes);
        }
        if let Some(write) = self.next().filter(|_| random.one_in(2)) {
            self.torn = Some(write.bytes.slice(..random.index(write.bytes.len())));
        }
        self.writing.clear();
    }
}
