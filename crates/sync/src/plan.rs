//! Which item of the old list each item of the new one was, and the edits that lead from one to the other.
//!
//! Knows ids only: given those of both lists, [`Planner::plan`] finds the source of each new item,
//! what to remove, and how to reorder what stays. Repeated ids match in order of occurrence.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The new item was not in the old list.
pub(crate) const NONE: usize = usize::MAX;

/// Beyond this a permutation is written: finding each moved item costs a look at the whole list.
const MOVES_MAX: usize = 256;

/// The plan and the memory to make it, kept from plan to plan.
#[derive(Default)]
pub(crate) struct Planner {
    /// Ids of the old items. An input.
    pub(crate) old: Vec<u64>,
    /// Ids of the new items. An input.
    pub(crate) new: Vec<u64>,
    /// For each new item the index of its old one, or [`NONE`].
    pub(crate) sources: Vec<usize>,
    /// Runs of old items that are no more, `(index, count)`, the last first.
    pub(crate) removals: Vec<(usize, usize)>,
    /// `(from, to)`, after the removals.
    pub(crate) moves: Vec<(usize, usize)>,
    /// In place of moves when not empty: for each kept item, in the new order, where it was among the kept.
    pub(crate) permutation: Vec<usize>,
    heads: HashMap<u64, usize, BuildHasherDefault<Spread>>,
    chain: Vec<usize>,
    kept: Vec<bool>,
    ranks: Vec<usize>,
    order: Vec<usize>,
    tails: Vec<usize>,
    before: Vec<usize>,
    stays: Vec<bool>,
}

impl Planner {
    /// Fills the outputs. With `pair_gaps`, new and old items that match nothing are paired in order where they lie
    /// between the same neighbours, so that a changed item is walked rather than replaced.
    pub(crate) fn plan(&mut self, pair_gaps: bool) {
        self.removals.clear();
        self.moves.clear();
        self.permutation.clear();
        if let Some(moved) = self.find_sources() {
            self.moves.push(moved);
            return;
        }
        if pair_gaps {
            self.pair_gaps();
        }
        self.kept.clear();
        self.kept.resize(self.old.len(), false);
        for &source in self.sources.iter().filter(|&&source| source != NONE) {
            self.kept[source] = true;
        }
        self.find_removals();
        self.find_moves();
    }

    /// Finds where each new item was. Gives the one move that is all of the plan, when it sees that.
    fn find_sources(&mut self) -> Option<(usize, usize)> {
        let (old, new) = (&self.old, &self.new);
        let shorter = old.len().min(new.len());
        let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let suffix = old.iter().rev().zip(new.iter().rev()).take(shorter - prefix).take_while(|(a, b)| a == b).count();
        self.sources.clear();
        self.sources.extend(0..prefix);
        self.sources.resize(new.len() - suffix, NONE);
        self.sources.extend(old.len() - suffix..old.len());

        let (old_middle, new_middle) = (prefix..old.len() - suffix, prefix..new.len() - suffix);
        if old_middle.is_empty() || new_middle.is_empty() {
            return None;
        }
        if old_middle == new_middle {
            // One item that was moved needs no table of all that it passed. Where ids come twice the first of them
            // lies elsewhere in both lists, which leads to the same list all the same.
            let (before, after) = (&old[old_middle.clone()], &new[new_middle.clone()]);
            let (first, last) = (prefix, prefix + before.len() - 1);
            if before[0] == after[after.len() - 1] && before[1..] == after[..after.len() - 1] {
                self.sources.truncate(prefix);
                self.sources.extend((first + 1..=last).chain([first]).chain(old_middle.end..old.len()));
                return Some((first, last));
            }
            if before[before.len() - 1] == after[0] && before[..before.len() - 1] == after[1..] {
                self.sources.truncate(prefix);
                self.sources.extend([last].into_iter().chain(first..last).chain(old_middle.end..old.len()));
                return Some((last, first));
            }
        }
        self.heads.clear();
        self.chain.clear();
        self.chain.resize(old_middle.len(), NONE);
        for index in old_middle.rev() {
            if let Some(later) = self.heads.insert(old[index], index) {
                self.chain[index - prefix] = later;
            }
        }
        for index in new_middle {
            if let Some(head) = self.heads.get_mut(&new[index])
                && *head != NONE
            {
                self.sources[index] = *head;
                *head = self.chain[*head - prefix];
            }
        }
        None
    }

    fn pair_gaps(&mut self) {
        let mut matched = std::mem::take(&mut self.kept);
        matched.clear();
        matched.resize(self.old.len(), false);
        for &source in self.sources.iter().filter(|&&source| source != NONE) {
            matched[source] = true;
        }
        let mut next = 0;
        for source in &mut self.sources {
            if *source == NONE {
                if matched.get(next) == Some(&false) {
                    *source = next;
                    next += 1;
                }
            } else {
                next = *source + 1;
            }
        }
        // Two gaps can lead to one old item where items were moved: the first takes it.
        matched.fill(false);
        for source in self.sources.iter_mut().filter(|source| **source != NONE) {
            if std::mem::replace(&mut matched[*source], true) {
                *source = NONE;
            }
        }
        self.kept = matched;
    }

    fn find_removals(&mut self) {
        let mut end = self.old.len();
        while let Some(last) = self.kept[..end].iter().rposition(|kept| !kept) {
            let first = self.kept[..last].iter().rposition(|&kept| kept).map_or(0, |index| index + 1);
            self.removals.push((first, last + 1 - first));
            end = first;
        }
    }

    fn find_moves(&mut self) {
        self.ranks.clear();
        let mut rank = 0;
        self.ranks.extend(self.kept.iter().map(|&kept| {
            rank += usize::from(kept);
            rank.wrapping_sub(1)
        }));
        let ranks = &self.ranks;
        self.order.clear();
        self.order.extend(self.sources.iter().filter(|&&source| source != NONE).map(|&source| ranks[source]));

        let order = &self.order;
        let Some(first) = order.iter().enumerate().position(|(index, &rank)| index != rank) else { return };
        let end = order.iter().enumerate().rposition(|(index, &rank)| index != rank).map_or(first, |last| last + 1);
        let middle = &order[first..end];
        if middle[0] == end - 1 && middle[1..].iter().enumerate().all(|(index, &rank)| rank == first + index) {
            self.moves.push((end - 1, first));
        } else if middle[middle.len() - 1] == first
            && middle[..middle.len() - 1].iter().enumerate().all(|(index, &rank)| rank == first + index + 1)
        {
            self.moves.push((first, end - 1));
        } else {
            self.find_many_moves(first, end);
        }
    }

    /// Moves everything that is not on a longest increasing run to right after its new neighbour.
    fn find_many_moves(&mut self, first: usize, end: usize) {
        let middle = &self.order[first..end];
        self.tails.clear();
        self.before.clear();
        for (index, &rank) in middle.iter().enumerate() {
            let length = self.tails.partition_point(|&tail| middle[tail] < rank);
            self.before.push(if length == 0 { NONE } else { self.tails[length - 1] });
            if length == self.tails.len() {
                self.tails.push(index);
            } else {
                self.tails[length] = index;
            }
        }
        let moved = middle.len() - self.tails.len();
        // A move is about as long as three indexes of a permutation.
        if moved > MOVES_MAX || moved * 3 > self.order.len() {
            self.permutation.extend_from_slice(&self.order);
            return;
        }
        self.stays.clear();
        self.stays.resize(middle.len(), false);
        let mut index = self.tails.last().copied().unwrap_or(NONE);
        while index != NONE {
            self.stays[index] = true;
            index = self.before[index];
        }
        let mut current = std::mem::take(&mut self.tails);
        current.clear();
        current.extend(first..end);
        let place = |current: &[usize], rank: usize| {
            current.iter().position(|&other| other == rank).expect("the middle holds each of its ranks once")
        };
        for index in (0..middle.len()).filter(|&index| !self.stays[index]) {
            let from = place(&current, middle[index]);
            current.remove(from);
            let to = if index == 0 { 0 } else { place(&current, middle[index - 1]) + 1 };
            current.insert(to, middle[index]);
            if from != to {
                self.moves.push((first + from, first + to));
            }
        }
        self.tails = current;
    }
}

/// Ids are hashes or counters already: one multiplication spreads them over the table.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, id: u64) {
        let wide = u128::from(self.0 ^ id) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide as u64) ^ (wide >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies the plan to the old ids; what is inserted or walked comes from the new ones.
    fn run(planner: &Planner) -> Vec<u64> {
        let mut list = planner.old.clone();
        for &(at, count) in &planner.removals {
            list.drain(at..at + count);
        }
        for &(from, to) in &planner.moves {
            let item = list.remove(from);
            list.insert(to, item);
        }
        if !planner.permutation.is_empty() {
            list = planner.permutation.iter().map(|&source| list[source]).collect();
        }
        for (index, &source) in planner.sources.iter().enumerate() {
            if source == NONE {
                list.insert(index, planner.new[index]);
            } else {
                assert_eq!(list[index], planner.old[source]);
            }
        }
        list
    }

    fn plan(old: &[u64], new: &[u64], pair_gaps: bool) -> Planner {
        let mut planner = Planner { old: old.to_vec(), new: new.to_vec(), ..Planner::default() };
        planner.plan(pair_gaps);
        planner
    }

    #[test]
    fn one_edit_is_one_edit() {
        let old: Vec<u64> = (0..100).collect();
        let mut new = old.clone();
        new.remove(50);
        let removed = plan(&old, &new, false);
        assert_eq!((removed.removals.as_slice(), removed.moves.len()), (&[(50, 1)][..], 0));

        let mut new = old.clone();
        new[10..51].rotate_left(1);
        assert_eq!(plan(&old, &new, false).moves, [(10, 50)]);
        new[10..51].rotate_right(2);
        assert_eq!(plan(&old, &new, false).moves, [(50, 10)]);

        let mut new = old.clone();
        new.swap(3, 90);
        assert_eq!(plan(&old, &new, false).moves.len(), 2);

        let new: Vec<u64> = old.iter().rev().copied().collect();
        let reversed = plan(&old, &new, false);
        assert_eq!((reversed.moves.len(), reversed.permutation.len()), (0, 100));
    }

    #[test]
    fn a_changed_item_between_the_same_neighbours_is_paired() {
        let paired = plan(&[1, 2, 3, 4], &[1, 9, 3, 4, 5], true);
        assert_eq!(paired.sources, [0, 1, 2, 3, NONE]);
        assert!(paired.removals.is_empty());
    }

    proptest! {
        #[test]
        fn a_plan_leads_from_the_old_list_to_the_new(
            old in prop::collection::vec(0u64..40, 0..60),
            new in prop::collection::vec(0u64..40, 0..60),
        ) {
            prop_assert_eq!(run(&plan(&old, &new, false)), new);
        }

        #[test]
        fn a_plan_with_pairs_keeps_the_length(
            old in prop::collection::vec(0u64..40, 0..60),
            new in prop::collection::vec(0u64..40, 0..60),
        ) {
            prop_assert_eq!(run(&plan(&old, &new, true)).len(), new.len());
        }

        #[test]
        fn shuffles_with_few_moves_are_followed(swaps in prop::collection::vec((0usize..200, 0usize..200), 0..8)) {
            let old: Vec<u64> = (0..200).collect();
            let mut new = old.clone();
            for (a, b) in swaps {
                new.swap(a, b);
            }
            prop_assert_eq!(run(&plan(&old, &new, false)), new);
        }
    }
}
