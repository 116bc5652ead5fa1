//! Where the walk is on the old tape and on the new one.
//!
//! The old words from [`Walk::from`] to [`Walk::at`] belong on the new tape and are not there yet.
//! They go there in one piece, and only when other words are to follow.

use super::Walk;
use crate::planted::{self, Bug};
use crate::tape::Level;
use crate::word::{self, Tag};

impl Walk<'_> {
    /// Enters the object or list whose first word is next.
    #[inline(always)]
    pub(super) fn enter(&mut self) {
        let level = Level { step: self.step, old: self.at, start: 0, out: self.out.len() };
        self.scratch.levels.push(level);
    }

    /// Leaves the object or list that was entered last; whether it has changed.
    #[inline(always)]
    pub(super) fn leave(&mut self) -> bool {
        let Some(level) = self.scratch.levels.pop() else { return false };
        self.step = level.step;
        self.began = level.out;
        self.out.len() > level.out
    }

    pub(super) fn leave_to(&mut self, depth: usize) {
        if let Some(level) = self.scratch.levels.get(depth) {
            self.step = level.step;
            self.scratch.levels.truncate(depth);
        }
    }

    pub(super) fn level(&self) -> Level {
        *self.scratch.levels.last().expect("the walk is inside of an object or a list")
    }

    /// Whether there is a new tape.
    pub(super) fn is_copied(&self) -> bool {
        self.words.is_empty() || self.from > 0 || !self.scratch.next.is_empty()
    }

    /// Where the next word goes on the new tape.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        self.scratch.next.len() + (self.at - self.from)
    }

    /// Puts the old words that were passed on the new tape, so that new ones can follow.
    pub(super) fn flush(&mut self) {
        if self.from == self.at {
            return;
        }
        let scratch = &mut *self.scratch;
        let begin = scratch.next.len();
        for level in scratch.levels.iter_mut().rev().take_while(|level| level.old >= self.from) {
            level.start = begin + (level.old - self.from);
        }
        if begin == 0 {
            // As much as the tape may keep, so that it need not be moved again.
            let room = self.words.len() + self.words.len() / 32 + 32;
            scratch.next.reserve_exact(room);
        }
        scratch.next.extend_from_slice(&self.words[self.from..self.at]);
        self.from = self.at;
    }

    /// Goes to other old words; those between do not stay, or come later.
    #[inline(always)]
    pub(super) fn seek(&mut self, at: usize) {
        if at != self.at {
            if !planted::is(Bug::NoFlush) {
                self.flush();
            }
            (self.at, self.from) = (at, at);
        }
    }

    /// New words follow.
    pub(super) fn append(&mut self, words: &[u64]) {
        self.flush();
        self.scratch.next.extend_from_slice(words);
    }

    /// An old word becomes another, of a value of the same size.
    pub(super) fn overwrite(&mut self, at: usize, word: u64) {
        if self.words[at] != word {
            self.scratch.undo.push((at, self.words[at]));
            self.words[at] = word;
        }
    }

    /// New words take the place of the old value.
    pub(super) fn store(&mut self, new: &[u64]) {
        let size = word::size(self.words[self.at]);
        if size == new.len() {
            for (offset, &word) in new.iter().enumerate() {
                self.overwrite(self.at + offset, word);
            }
            self.at += size;
        } else {
            self.append(new);
            self.seek(self.at + size);
        }
    }

    /// Steps over the marks of a tracked value whose new one arrives plainly.
    pub(super) fn untrack(&mut self) -> bool {
        let tracked = word::is(self.words[self.at], Tag::Tracked);
        if tracked {
            self.seek(self.at + 3);
        }
        tracked
    }

    /// Writes the two words after a header, where they are to be others, and the header's size.
    pub(super) fn mark(&mut self, old: usize, start: usize, tag: Tag, words: [Option<u64>; 2]) {
        let copied = old < self.from;
        for (offset, word) in words.into_iter().enumerate() {
            match word {
                Some(word) if copied => self.scratch.next[start + 1 + offset] = word,
                Some(word) => self.overwrite(old + 1 + offset, word),
                None => {}
            }
        }
        if copied {
            self.seal(start, word::tagged(tag, 0));
        }
    }

    /// The same of what was built, perhaps by somebody who did not hear that nothing goes on.
    pub(super) fn seal_built(&mut self, start: usize, header: u64) {
        let size = self.scratch.next.len() - start;
        self.scratch.next[start] = header | size as u64;
    }

    /// Writes the size of what begins at `start` on the new tape, and ends here, into its header.
    pub(super) fn seal(&mut self, start: usize, header: u64) {
        let size = self.position() - start;
        self.scratch.next[start] = header | size as u64;
    }
}
