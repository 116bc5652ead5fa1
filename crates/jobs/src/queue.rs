//! Who runs next: a bounded queue that takes turns between owners, and how many run at the same time.
//!
//! Each owner has a lane of its own, first in, first out. Lanes take turns, so one owner's thousand jobs do not
//! starve another's first. An owner that runs as many jobs as it may has no turn until one of them is done.
//! Plain data; the pool puts it under its lock.
//!
//! A job that waits for jobs of its own is *parked*: it holds no place among those that run, and takes one again, when
//! its owner has a turn, before it goes on. In a lane those that go on come first and then the deepest, so that what was
//! begun is finished before more is begun. Nothing can stand still for ever: a job of the deepest kind has no jobs of
//! its own and needs only a place, which every parked job has given back; and each other kind has a bound of its own on
//! how many are parked, so that it waits for deeper ones only.

use std::collections::{HashMap, VecDeque};

/// How deep jobs may be nested that other jobs have started: the children of a job's children's children have none.
pub const DEPTH_MAX: u8 = 4;
const LEVELS: usize = DEPTH_MAX as usize + 1;

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Jobs running at the same time, of all owners together.
    pub(crate) running_max: usize,
    /// Jobs waiting, of all owners together.
    pub(crate) queue_max: usize,
    /// Jobs waiting, of one owner.
    pub(crate) owner_queue_max: usize,
    /// Jobs running at the same time, of one owner.
    pub(crate) owner_running_max: usize,
    /// Jobs of one depth that are parked at the same time; while there are so many, no other of that depth begins.
    pub(crate) parked_max: usize,
}

/// Why there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Queue,
    Owner,
}

/// Whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next<J> {
    /// One that has waited for its place begins.
    Begin(J),
    /// One that was parked goes on.
    GoOn(J),
}

#[derive(Debug)]
pub(crate) struct Queue<J> {
    limits: Limits,
    lanes: HashMap<u64, Lane<J>>,
    /// The owners that have a job waiting and may run one more, in the order of their turns; each once. One whose
    /// jobs are all of a depth of which too many are parked may be among them, and is left out when its turn comes.
    turns: VecDeque<u64>,
    len: usize,
    /// Places that are kept for jobs which are still to come.
    reserved: usize,
    running: usize,
    /// Those that are parked, by depth.
    parked: [usize; LEVELS],
    /// Emptied lanes, kept so that an owner who starts one job after the other does not allocate each time.
    spare: Vec<VecDeque<Waiting<J>>>,
}

#[derive(Debug)]
struct Lane<J> {
    /// Those that go on, then those that begin, the deepest first.
    waiting: VecDeque<Waiting<J>>,
    /// How many of them go on.
    going_on: usize,
    reserved: usize,
    running: usize,
    parked: usize,
    has_turn: bool,
}

#[derive(Debug)]
struct Waiting<J> {
    id: u64,
    depth: u8,
    goes_on: bool,
    job: J,
}

impl<J> Waiting<J> {
    /// What has more of it comes first.
    fn precedence(&self) -> u8 {
        if self.goes_on { u8::MAX } else { self.depth }
    }
}

/// Enough for the owners that come and go between two looks of the threads.
const SPARE_MAX: usize = 16;
/// A lane that grew beyond this gives its memory back when it is empty.
const SPARE_CAPACITY_MAX: usize = 64;

impl<J> Queue<J> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
            reserved: 0,
            running: 0,
            parked: [0; LEVELS],
            spare: Vec::new(),
        }
    }

    /// How many jobs wait to begin.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many more could run.
    pub(crate) fn free(&self) -> usize {
        self.limits.running_max.saturating_sub(self.running)
    }

    /// How many are parked.
    pub(crate) fn parked(&self) -> usize {
        self.parked.iter().sum()
    }

    /// Whether [`pop`](Self::pop) is worth a try.
    pub(crate) fn is_ready(&self) -> bool {
        self.free() > 0 && !self.turns.is_empty()
    }

    /// Whether `owner` may have one more place, when `ending` of all owners still hold theirs. What could run at once
    /// takes no place from what has to wait.
    pub(crate) fn room(&self, owner: u64, ending: usize) -> Result<(), Full> {
        let free = self.free();
        if self.len + self.reserved + ending >= self.limits.queue_max.saturating_add(free) {
            return Err(Full::Queue);
        }
        let lane = self.lanes.get(&owner);
        let (held, running) =
            lane.map_or((0, 0), |lane| (lane.waiting.len() - lane.going_on + lane.reserved, lane.running));
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

    /// Puts a job behind those of its owner that come before it. The caller has asked for [`room`](Self::room), or had
    /// a place kept.
    pub(crate) fn push(&mut self, owner: u64, id: u64, depth: u8, job: J) {
        self.len += 1;
        self.put(owner, Waiting { id, depth, goes_on: false, job });
    }

    fn put(&mut self, owner: u64, waiting: Waiting<J>) {
        let lane = self.lane(owner);
        let precedence = waiting.precedence();
        let at = lane.waiting.partition_point(|other| other.precedence() >= precedence);
        lane.waiting.insert(at, waiting);
        self.give_turn(owner);
    }

    fn lane(&mut self, owner: u64) -> &mut Lane<J> {
        self.lanes.entry(owner).or_insert_with(|| Lane {
            waiting: self.spare.pop().unwrap_or_default(),
            going_on: 0,
            reserved: 0,
            running: 0,
            parked: 0,
            has_turn: false,
        })
    }

    /// All that wait to begin, in the order in which they will if nothing else comes. Owners that run as many jobs as
    /// they may are taken to have their turns after the others.
    pub(crate) fn in_order(&self) -> Vec<&J> {
        let capped = self.lanes.iter().filter(|(_, lane)| !lane.has_turn && !lane.waiting.is_empty());
        let mut capped: Vec<_> = capped.map(|(&owner, lane)| (lane.waiting[0].id, owner)).collect();
        capped.sort_unstable();
        let mut jobs = Vec::with_capacity(self.len);
        let turns = self.turns.iter().copied().chain(capped.into_iter().map(|(_, owner)| owner));
        let mut turns: VecDeque<_> = turns.map(|owner| (&self.lanes[&owner].waiting, 0)).collect();
        while let Some((waiting, at)) = turns.pop_front() {
            if !waiting[at].goes_on {
                jobs.push(&waiting[at].job);
            }
            if at + 1 < waiting.len() {
                turns.push_back((waiting, at + 1));
            }
        }
        jobs
    }

    /// Takes the job whose turn it is, if another may run, and counts it as running until [`done`](Self::done) or
    /// [`park`](Self::park).
    pub(crate) fn pop(&mut self) -> Option<Next<J>> {
        self.pop_if(|_| true)
    }

    /// Takes the job whose turn it is if it was parked and goes on.
    pub(crate) fn pop_parked(&mut self) -> Option<J> {
        match self.pop_if(|waiting| waiting.goes_on)? {
            Next::GoOn(job) => Some(job),
            Next::Begin(_) => unreachable!("only one that goes on was asked for"),
        }
    }

    fn pop_if(&mut self, is_wanted: impl FnOnce(&Waiting<J>) -> bool) -> Option<Next<J>> {
        if self.free() == 0 {
            return None;
        }
        let (owner, at) = self.first()?;
        let lane = self.lanes.get_mut(&owner).expect("an owner with a turn has a lane");
        if !is_wanted(&lane.waiting[at]) {
            return None;
        }
        self.turns.pop_front();
        let waiting = lane.waiting.remove(at).expect("it was looked at a moment ago");
        lane.has_turn = false;
        lane.running += 1;
        self.running += 1;
        let next = if waiting.goes_on {
            lane.going_on -= 1;
            lane.parked -= 1;
            self.unpark(waiting.depth);
            Next::GoOn(waiting.job)
        } else {
            self.len -= 1;
            Next::Begin(waiting.job)
        };
        self.give_turn(owner);
        Some(next)
    }

    /// The owner whose turn it is, and which of its jobs may run.
    fn first(&mut self) -> Option<(u64, usize)> {
        loop {
            let owner = *self.turns.front()?;
            if let Some(at) = self.may_run(&self.lanes[&owner]) {
                return Some((owner, at));
            }
            self.turns.pop_front();
            self.lanes.get_mut(&owner).expect("an owner with a turn has a lane").has_turn = false;
        }
    }

    /// The first of a lane that may run: of some depths too many may be parked.
    fn may_run(&self, lane: &Lane<J>) -> Option<usize> {
        let mut at = 0;
        while let Some(waiting) = lane.waiting.get(at) {
            if waiting.goes_on || self.parked[usize::from(waiting.depth)] < self.limits.parked_max {
                return Some(at);
            }
            at = lane.waiting.partition_point(|other| other.precedence() >= waiting.depth);
        }
        None
    }

    /// Notes that a job of `owner` runs no longer.
    pub(crate) fn done(&mut self, owner: u64) {
        let lane = self.lanes.get_mut(&owner).expect("an owner with a running job has a lane");
        lane.running -= 1;
        self.running -= 1;
        self.give_turn(owner);
        self.tidy(owner);
    }

    /// Notes that a running job waits for jobs of its own and needs its place no more.
    pub(crate) fn park(&mut self, owner: u64, depth: u8) {
        let lane = self.lanes.get_mut(&owner).expect("an owner with a running job has a lane");
        lane.running -= 1;
        lane.parked += 1;
        self.running -= 1;
        self.parked[usize::from(depth)] += 1;
        self.give_turn(owner);
    }

    /// Lets a parked job wait for its turn to go on.
    pub(crate) fn go_on(&mut self, owner: u64, id: u64, depth: u8, job: J) {
        self.lane(owner).going_on += 1;
        self.put(owner, Waiting { id, depth, goes_on: true, job });
    }

    /// Lets a parked job go on at once, though there may be no place for it: it was told to stop, and is soon done.
    pub(crate) fn go_on_now(&mut self, owner: u64, id: u64, depth: u8) {
        self.remove(owner, id);
        let lane = self.lane(owner);
        lane.parked -= 1;
        lane.running += 1;
        self.running += 1;
        self.unpark(depth);
    }

    fn unpark(&mut self, depth: u8) {
        let parked = &mut self.parked[usize::from(depth)];
        *parked -= 1;
        if *parked + 1 == self.limits.parked_max {
            // Others of that depth may begin again.
            let owners: Vec<u64> = self.lanes.keys().copied().collect();
            owners.into_iter().for_each(|owner| self.give_turn(owner));
        }
    }

    /// Takes a waiting job out before its turn.
    pub(crate) fn remove(&mut self, owner: u64, id: u64) -> Option<J> {
        let lane = self.lanes.get_mut(&owner)?;
        let at = lane.waiting.iter().position(|waiting| waiting.id == id)?;
        let waiting = lane.waiting.remove(at)?;
        if waiting.goes_on {
            lane.going_on -= 1;
        } else {
            self.len -= 1;
        }
        if lane.waiting.is_empty() && lane.has_turn {
            lane.has_turn = false;
            self.turns.retain(|&turn| turn != owner);
        }
        self.tidy(owner);
        Some(waiting.job)
    }

    /// Takes everything that waits to begin, in the order in which it came.
    pub(crate) fn drain(&mut self) -> Vec<J> {
        let owners: Vec<u64> = self.lanes.keys().copied().collect();
        let mut jobs = Vec::with_capacity(self.len);
        self.turns.clear();
        for owner in owners {
            let lane = self.lanes.get_mut(&owner).expect("it was listed a moment ago");
            lane.has_turn = false;
            let going_on = lane.going_on;
            jobs.extend(lane.waiting.drain(going_on..));
            self.give_turn(owner);
            self.tidy(owner);
        }
        self.len = 0;
        // Ids only grow.
        jobs.sort_unstable_by_key(|waiting| waiting.id);
        jobs.into_iter().map(|waiting| waiting.job).collect()
    }

    fn give_turn(&mut self, owner: u64) {
        let Some(lane) = self.lanes.get(&owner) else { return };
        if !lane.has_turn && lane.running < self.limits.owner_running_max && self.may_run(lane).is_some() {
            self.lanes.get_mut(&owner).expect("it was there a moment ago").has_turn = true;
            self.turns.push_back(owner);
        }
    }

    /// Forgets an owner that has nothing waiting and nothing running.
    fn tidy(&mut self, owner: u64) {
        let is_idle = |lane: &Lane<J>| lane.running + lane.reserved + lane.parked == 0 && lane.waiting.is_empty();
        if self.lanes.get(&owner).is_some_and(is_idle)
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

    const LIMITS: Limits =
        Limits { running_max: 100, queue_max: 100, owner_queue_max: 100, owner_running_max: 100, parked_max: 100 };

    fn queue(limits: Limits, jobs: &[(u64, u64)]) -> Queue<u64> {
        let mut queue = Queue::new(limits);
        for &(owner, id) in jobs {
            queue.push(owner, id, 0, id);
        }
        queue
    }

    fn pop(queue: &mut Queue<u64>) -> Option<u64> {
        match queue.pop()? {
            Next::Begin(job) => Some(job),
            Next::GoOn(job) => panic!("{job} was not parked"),
        }
    }

    fn pops(queue: &mut Queue<u64>) -> Vec<u64> {
        std::iter::from_fn(|| pop(queue)).collect()
    }

    #[test]
    fn owners_take_turns() {
        let mut queue = queue(LIMITS, &[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)]);
        assert_eq!(pops(&mut queue), [10, 20, 30, 11, 21, 12]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn no_more_run_than_may() {
        let mut queue = queue(Limits { running_max: 2, ..LIMITS }, &[(1, 10), (1, 11), (2, 20)]);
        assert_eq!(pops(&mut queue), [10, 20]);
        queue.done(2);
        assert_eq!(pops(&mut queue), [11]);
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
        let limits = Limits { running_max: 0, queue_max: 3, owner_queue_max: 2, ..LIMITS };
        let jobs = [(1, 10), (1, 11)];
        let full = queue(limits, &jobs);
        assert_eq!(full.room(1, 0), Err(Full::Owner));
        assert_eq!(full.room(2, 0), Ok(()));
        assert_eq!(full.room(2, 1), Err(Full::Queue));
        let jobs = [jobs[0], jobs[1], (2, 20)];
        assert_eq!(queue(limits, &jobs).room(2, 0), Err(Full::Queue));
        let free = Limits { running_max: 1, ..limits };
        assert_eq!(queue(free, &jobs).room(2, 0), Ok(()), "what can run at once needs no place to wait");
    }

    #[test]
    fn an_owner_of_whom_none_may_wait_has_room_only_for_what_runs_at_once() {
        let none = Limits { running_max: 0, owner_queue_max: 0, ..LIMITS };
        assert_eq!(queue(none, &[]).room(1, 0), Err(Full::Owner));
        assert_eq!(queue(Limits { running_max: 1, ..none }, &[]).room(1, 0), Ok(()));
    }

    #[test]
    fn a_place_that_is_kept_counts_until_it_is_given_back() {
        let limits = Limits { running_max: 0, queue_max: 2, owner_queue_max: 1, ..LIMITS };
        let mut queue: Queue<u64> = Queue::new(limits);
        queue.reserve(1);
        assert_eq!(queue.room(1, 0), Err(Full::Owner));
        queue.reserve(2);
        assert_eq!(queue.room(3, 0), Err(Full::Queue));
        queue.release(1);
        assert_eq!((queue.room(1, 0), queue.room(2, 0)), (Ok(()), Err(Full::Owner)));
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
        assert_eq!(pop(&mut queue), Some(10));
        assert_eq!(queue.drain(), [11, 20]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
        queue.done(1);
        assert!(queue.lanes.is_empty());
    }

    #[test]
    fn what_was_begun_is_finished_before_more_is_begun() {
        let mut queue = queue(Limits { running_max: 1, ..LIMITS }, &[(1, 10), (1, 11)]);
        assert_eq!(pop(&mut queue), Some(10));
        queue.push(1, 12, 1, 12);
        queue.push(1, 13, 1, 13);
        queue.park(1, 0);
        assert_eq!(pop(&mut queue), Some(12));
        queue.go_on(1, 10, 0, 10);
        assert_eq!((queue.pop(), queue.pop_parked()), (None, None), "there is no place");
        queue.done(1);
        assert_eq!(queue.pop_parked(), Some(10));
        queue.done(1);
        assert_eq!(pop(&mut queue), Some(13));
        assert_eq!(queue.pop_parked(), None);
    }

    #[test]
    fn while_too_many_of_a_depth_are_parked_only_deeper_ones_begin() {
        let mut queue = queue(Limits { parked_max: 1, ..LIMITS }, &[(1, 10), (2, 20)]);
        assert_eq!(pop(&mut queue), Some(10));
        queue.park(1, 0);
        assert_eq!(queue.pop(), None);
        queue.push(2, 21, 1, 21);
        assert_eq!(pop(&mut queue), Some(21));
        queue.go_on(1, 10, 0, 10);
        assert_eq!(queue.pop(), Some(Next::GoOn(10)));
        assert_eq!(pop(&mut queue), Some(20), "its owner has a turn again");
    }

    #[test]
    fn one_that_was_told_to_stop_goes_on_without_a_place() {
        let mut queue = queue(Limits { running_max: 1, ..LIMITS }, &[(1, 10)]);
        for waits_already in [false, true] {
            assert_eq!(pop(&mut queue), Some(10));
            queue.park(1, 0);
            queue.push(2, 20, 0, 20);
            assert_eq!(pop(&mut queue), Some(20));
            if waits_already {
                queue.go_on(1, 10, 0, 10);
            }
            queue.go_on_now(1, 10, 0);
            assert_eq!((queue.free(), queue.running, queue.parked(), queue.len()), (0, 2, 0, 0));
            queue.done(1);
            queue.push(1, 10, 0, 10);
            assert_eq!(queue.pop(), None, "the other still runs");
            queue.done(2);
        }
        assert_eq!(pop(&mut queue), Some(10));
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
                        queue.push(owner, id, 0, (owner, id));
                        list.push((owner, id));
                    }
                    1 => {
                        let may = |owner: u64| running.iter().filter(|&&o| o == owner).count() < 2;
                        let expected = list.iter().any(|&(owner, _)| may(owner));
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_some(), expected);
                        if let Some(Next::Begin((owner, id))) = popped {
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
