//! Who runs next: a bounded queue that takes turns between owners.
//!
//! Each owner has a lane of its own, first in, first out. Lanes take turns, so one owner's thousand jobs do not
//! starve another's first. An owner that runs as many jobs as it may has no turn until one of them is done.
//! Plain data; the pool puts it under its lock.

use std::collections::{HashMap, VecDeque};

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Jobs waiting, of all owners together.
    pub(crate) queue_max: usize,
    /// Jobs waiting, of one owner.
    pub(crate) owner_queue_max: usize,
    /// Jobs running at the same time, of one owner.
    pub(crate) owner_running_max: usize,
}

/// Why there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Queue,
    Owner,
}

#[derive(Debug)]
pub(crate) struct Queue<J> {
    limits: Limits,
    lanes: HashMap<u64, Lane<J>>,
    /// The owners that have a job waiting and may run one more, in the order of their turns; each once.
    turns: VecDeque<u64>,
    len: usize,
    /// Places that are kept for jobs which are still to come.
    reserved: usize,
    /// Emptied lanes, kept so that an owner who starts one job after the other does not allocate each time.
    spare: Vec<VecDeque<(u64, J)>>,
}

#[derive(Debug)]
struct Lane<J> {
    waiting: VecDeque<(u64, J)>,
    reserved: usize,
    running: usize,
    has_turn: bool,
}

/// Enough for the owners that come and go between two looks of the threads.
const SPARE_MAX: usize = 16;
/// A lane that grew beyond this gives its memory back when it is empty.
const SPARE_CAPACITY_MAX: usize = 64;

impl<J> Queue<J> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, lanes: HashMap::new(), turns: VecDeque::new(), len: 0, reserved: 0, spare: Vec::new() }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether `owner` may have one more place, when `ending` of all owners still hold theirs and `free` jobs more
    /// could run at once: what need not wait takes no place from what has to.
    pub(crate) fn room(&self, owner: u64, ending: usize, free: usize) -> Result<(), Full> {
        if self.len + self.reserved + ending >= self.limits.queue_max.saturating_add(free) {
            return Err(Full::Queue);
        }
        let lane = self.lanes.get(&owner);
        let (held, running) = lane.map_or((0, 0), |lane| (lane.waiting.len() + lane.reserved, lane.running));
        let free = free.min(self.limits.owner_running_max.saturating_sub(running));
        if held >= self.limits.owner_queue_max.saturating_add(free) {
            return Err(Full::Owner);
        }
        Ok(())
    }

    /// Keeps a place for `owner` until [`release`](Self::release). The caller has asked for [`room`](Self::room).
    pub(crate) fn reserve(&mut self, owner: u64) {
        self.lane(owner).reserved += 1;
        self.reserved += 1;
    }

    /// Gives a place back that was kept.
    pub(crate) fn release(&mut self, owner: u64) {
        let lane = self.lanes.get_mut(&owner).expect("an owner with a place kept has a lane");
        lane.reserved -= 1;
        self.reserved -= 1;
        self.tidy(owner);
    }

    /// Puts a job behind the others of its owner. The caller has asked for [`room`](Self::room), or had a place kept.
    pub(crate) fn push(&mut self, owner: u64, id: u64, job: J) {
        self.lane(owner).waiting.push_back((id, job));
        self.len += 1;
        self.give_turn(owner);
    }

    fn lane(&mut self, owner: u64) -> &mut Lane<J> {
        self.lanes.entry(owner).or_insert_with(|| Lane {
            waiting: self.spare.pop().unwrap_or_default(),
            reserved: 0,
            running: 0,
            has_turn: false,
        })
    }

    /// All that waits, in the order in which it will be taken if nothing else comes. Owners that run as many jobs as
    /// they may are taken to have their turns after the others.
    pub(crate) fn in_order(&self) -> Vec<&J> {
        let capped = self.lanes.iter().filter(|(_, lane)| !lane.has_turn && !lane.waiting.is_empty());
        let mut capped: Vec<_> = capped.map(|(&owner, lane)| (lane.waiting[0].0, owner)).collect();
        capped.sort_unstable();
        let mut jobs = Vec::with_capacity(self.len);
        let turns = self.turns.iter().copied().chain(capped.into_iter().map(|(_, owner)| owner));
        let mut turns: VecDeque<_> = turns.map(|owner| (&self.lanes[&owner].waiting, 0)).collect();
        while let Some((waiting, at)) = turns.pop_front() {
            jobs.push(&waiting[at].1);
            if at + 1 < waiting.len() {
                turns.push_back((waiting, at + 1));
            }
        }
        jobs
    }

    /// Takes the job whose turn it is and counts it as running until [`done`](Self::done).
    pub(crate) fn pop(&mut self) -> Option<J> {
        let owner = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&owner).expect("an owner with a turn has a lane");
        lane.has_turn = false;
        lane.running += 1;
        let (_, job) = lane.waiting.pop_front().expect("an owner with a turn has a job waiting");
        self.len -= 1;
        self.give_turn(owner);
        Some(job)
    }

    /// Notes that a job of `owner` runs no longer.
    pub(crate) fn done(&mut self, owner: u64) {
        let lane = self.lanes.get_mut(&owner).expect("an owner with a running job has a lane");
        lane.running -= 1;
        self.give_turn(owner);
        self.tidy(owner);
    }

    /// Takes a waiting job out before its turn.
    pub(crate) fn remove(&mut self, owner: u64, id: u64) -> Option<J> {
        let lane = self.lanes.get_mut(&owner)?;
        let at = lane.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        let (_, job) = lane.waiting.remove(at)?;
        self.len -= 1;
        if lane.waiting.is_empty() && lane.has_turn {
            lane.has_turn = false;
            self.turns.retain(|&turn| turn != owner);
        }
        self.tidy(owner);
        Some(job)
    }

    /// Takes everything that waits, in the order in which it came.
    pub(crate) fn drain(&mut self) -> Vec<J> {
        let owners: Vec<u64> = self.lanes.keys().copied().collect();
        let mut jobs = Vec::with_capacity(self.len);
        for owner in owners {
            let lane = self.lanes.get_mut(&owner).expect("it was listed a moment ago");
            lane.has_turn = false;
            jobs.extend(lane.waiting.drain(..));
            self.tidy(owner);
        }
        self.turns.clear();
        self.len = 0;
        // Ids only grow.
        jobs.sort_unstable_by_key(|(id, _)| *id);
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn give_turn(&mut self, owner: u64) {
        let Some(lane) = self.lanes.get_mut(&owner) else { return };
        if !lane.has_turn && !lane.waiting.is_empty() && lane.running < self.limits.owner_running_max {
            lane.has_turn = true;
            self.turns.push_back(owner);
        }
    }

    /// Forgets an owner that has nothing waiting and nothing running.
    fn tidy(&mut self, owner: u64) {
        if self.lanes.get(&owner).is_some_and(|lane| lane.running + lane.reserved == 0 && lane.waiting.is_empty())
            && let Some(lane) = self.lanes.remove(&owner)
            && self.spare.len() < SPARE_MAX
            && lane.waiting.capacity() <= SPARE_CAPACITY_MAX
        {
            self.spare.push(lane.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { queue_max: 100, owner_queue_max: 100, owner_running_max: 100 };

    fn queue(limits: Limits, jobs: &[(u64, u64)]) -> Queue<u64> {
        let mut queue = Queue::new(limits);
        for &(owner, id) in jobs {
            queue.push(owner, id, id);
        }
        queue
    }

    fn pops(queue: &mut Queue<u64>) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn owners_take_turns() {
        let mut queue = queue(LIMITS, &[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)]);
        assert_eq!(pops(&mut queue), [10, 20, 30, 11, 21, 12]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn an_owner_at_its_cap_waits_until_one_of_its_jobs_is_done() {
        let mut queue = queue(Limits { owner_running_max: 1, ..LIMITS }, &[(1, 10), (1, 11), (2, 20)]);
        assert_eq!(pops(&mut queue), [10, 20]);
        queue.done(2);
        assert_eq!(queue.pop(), None);
        queue.done(1);
        assert_eq!(pops(&mut queue), [11]);
    }

    #[test]
    fn a_full_queue_says_whose_bound_it_is() {
        let limits = Limits { queue_max: 3, owner_queue_max: 2, ..LIMITS };
        let mut queue = queue(limits, &[(1, 10), (1, 11)]);
        assert_eq!(queue.room(1, 0, 0), Err(Full::Owner));
        assert_eq!(queue.room(2, 0, 0), Ok(()));
        assert_eq!(queue.room(2, 1, 0), Err(Full::Queue));
        queue.push(2, 20, 20);
        assert_eq!(queue.room(2, 0, 0), Err(Full::Queue));
        assert_eq!(queue.room(2, 0, 1), Ok(()), "what can run at once needs no place to wait");
    }

    #[test]
    fn an_owner_of_whom_none_may_wait_has_room_only_for_what_runs_at_once() {
        let queue: Queue<u64> = Queue::new(Limits { owner_queue_max: 0, ..LIMITS });
        assert_eq!(queue.room(1, 0, 0), Err(Full::Owner));
        assert_eq!(queue.room(1, 0, 1), Ok(()));
    }

    #[test]
    fn a_place_that_is_kept_counts_until_it_is_given_back() {
        let limits = Limits { queue_max: 2, owner_queue_max: 1, ..LIMITS };
        let mut queue: Queue<u64> = Queue::new(limits);
        queue.reserve(1);
        assert_eq!(queue.room(1, 0, 0), Err(Full::Owner));
        queue.reserve(2);
        assert_eq!(queue.room(3, 0, 0), Err(Full::Queue));
        queue.release(1);
        assert_eq!((queue.room(1, 0, 0), queue.room(2, 0, 0)), (Ok(()), Err(Full::Owner)));
        queue.release(2);
        assert!(queue.lanes.is_empty());
    }

    #[test]
    fn the_order_is_known_before_it_happens() {
        let jobs = [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)];
        let mut queue = queue(LIMITS, &jobs);
        queue.pop();
        let order: Vec<u64> = queue.in_order().into_iter().copied().collect();
        assert_eq!(order, pops(&mut queue));
    }

    #[test]
    fn a_removed_job_has_no_turn() {
        let mut queue = queue(LIMITS, &[(1, 10), (2, 20), (1, 11)]);
        assert_eq!(queue.remove(1, 10), Some(10));
        assert_eq!(queue.remove(1, 10), None);
        assert_eq!(queue.remove(2, 20), Some(20));
        assert_eq!(pops(&mut queue), [11]);
    }

    #[test]
    fn draining_leaves_what_runs() {
        let mut queue = queue(LIMITS, &[(1, 10), (1, 11), (2, 20)]);
        assert_eq!(queue.pop(), Some(10));
        assert_eq!(queue.drain(), [11, 20]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
        queue.done(1);
        assert!(queue.lanes.is_empty());
    }

    proptest! {
        /// Against a list: nothing is lost or doubled, caps hold, order within an owner holds, nothing is left behind.
        #[test]
        fn whatever_is_done_to_it_the_queue_agrees_with_a_plain_list(steps in prop::collection::vec((0_u8..4, 0_u64..4), 1..200)) {
            let limits = Limits { owner_running_max: 2, ..LIMITS };
            let mut queue = Queue::new(limits);
            let mut list: Vec<(u64, u64)> = Vec::new();
            let mut running: Vec<u64> = Vec::new();
            for (id, (step, owner)) in steps.into_iter().enumerate() {
                let id = id as u64;
                match step {
                    0 => {
                        queue.push(owner, id, (owner, id));
                        list.push((owner, id));
                    }
                    1 => {
                        let may = |owner: u64| running.iter().filter(|&&o| o == owner).count() < 2;
                        let expected = list.iter().any(|&(owner, _)| may(owner));
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_some(), expected);
                        if let Some((owner, id)) = popped {
                            prop_assert!(may(owner));
                            let first = list.iter().position(|&(o, _)| o == owner).expect("it waited");
                            prop_assert_eq!(list.remove(first), (owner, id));
                            running.push(owner);
                        }
                    }
                    2 => {
                        if let Some(at) = running.iter().position(|&o| o == owner) {
                            running.remove(at);
                            queue.done(owner);
                        }
                    }
                    _ => {
                        if let Some(at) = list.iter().position(|&(o, _)| o == owner) {
                            let (owner, id) = list.remove(at);
                            prop_assert_eq!(queue.remove(owner, id), Some((owner, id)));
                        }
                    }
                }
                prop_assert_eq!(queue.len(), list.len());
            }
            prop_assert_eq!(queue.drain(), list);
            for owner in running {
                queue.done(owner);
            }
            prop_assert!(queue.lanes.is_empty() && queue.turns.is_empty());
        }
    }
}
