//! Random families on the queue: whatever the order of what may happen, all of them come to an end.
//!
//! The pool's part is played here without threads: a job that runs starts its children, waits for one, or returns; one
//! that waits goes on when a child has ended. A step that is possible is drawn until none is. If a job is left then, its
//! kind of tree and its order of steps would leave a pool standing still for ever.

use proptest::prelude::*;

use crate::queue::{DEPTH_MAX, Limits, Next, Queue};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    NotStarted,
    Queued,
    Running,
    Parked,
    GoingOn,
    Ended,
}

#[derive(Debug)]
struct Member {
    parent: Option<usize>,
    owner: u64,
    depth: u8,
    at: Where,
    /// A child has ended since it looked.
    has_news: bool,
    is_stopped: bool,
}

struct Play {
    queue: Queue<usize>,
    members: Vec<Member>,
    at_once: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Pop,
    Start(usize),
    Park(usize),
    Return(usize),
}

impl Play {
    /// Each member is a root or a child of an earlier one.
    fn new(limits: Limits, at_once: usize, parents: &[(u8, u64)]) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for &(parent, owner) in parents {
            // About a third are roots.
            let parent = usize::from(parent).checked_rem(members.len() * 3 / 2 + 1).filter(|&at| at < members.len());
            let parent = parent.filter(|&at| members[at].depth < DEPTH_MAX);
            let (owner, depth) = parent.map_or((owner, 0), |at| (members[at].owner, members[at].depth + 1));
            members.push(Member { parent, owner, depth, at: Where::NotStarted, has_news: false, is_stopped: false });
        }
        let mut play = Self { queue: Queue::new(limits), members, at_once };
        for at in 0..play.members.len() {
            if play.members[at].parent.is_none() {
                play.push(at);
            }
        }
        play
    }

    fn push(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.at = Where::Queued;
        self.queue.push(member.owner, at as u64, member.depth, at);
    }

    fn children(&self, of: usize, here: impl Fn(Where) -> bool) -> Vec<usize> {
        let is_one = |at: &usize| self.members[*at].parent == Some(of) && here(self.members[*at].at);
        (0..self.members.len()).filter(is_one).collect()
    }

    fn is_live(at: Where) -> bool {
        !matches!(at, Where::NotStarted | Where::Ended)
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.queue.is_ready() {
            steps.push(Step::Pop);
        }
        for at in 0..self.members.len() {
            let unstarted = self.children(at, |place| place == Where::NotStarted);
            let live = self.children(at, Self::is_live);
            // A child is started by the thread on which another has ended, wherever its parent is.
            if Self::is_live(self.members[at].at) && self.members[at].at != Where::Queued && live.len() < self.at_once {
                steps.extend(unstarted.first().map(|&child| Step::Start(child)));
            }
            if self.members[at].at == Where::Running {
                if live.is_empty() && unstarted.is_empty() {
                    steps.push(Step::Return(at));
                } else if !self.members[at].has_news {
                    steps.push(Step::Park(at));
                } else {
                    // It looks, and waits again.
                    self.members[at].has_news = false;
                    steps.push(Step::Park(at));
                }
            }
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pop => match self.queue.pop() {
                Some(Next::Begin(at) | Next::GoOn(at)) => {
                    assert!(matches!(self.members[at].at, Where::Queued | Where::GoingOn));
                    self.members[at].at = Where::Running;
                }
                None => assert!(!self.queue.is_ready(), "it was ready, and would be asked for ever"),
            },
            Step::Start(at) => self.push(at),
            Step::Park(at) => {
                let member = &mut self.members[at];
                member.at = Where::Parked;
                self.queue.park(member.owner, member.depth);
                if member.is_stopped {
                    self.go_on(at);
                }
            }
            Step::Return(at) => {
                self.queue.done(self.members[at].owner);
                self.end(at);
            }
        }
    }

    fn end(&mut self, at: usize) {
        self.members[at].at = Where::Ended;
        let Some(parent) = self.members[at].parent else { return };
        self.members[parent].has_news = true;
        if self.members[parent].at == Where::Parked {
            self.go_on(parent);
        }
    }

    fn go_on(&mut self, at: usize) {
        let waits = !self.children(at, Self::is_live).is_empty();
        let member = &mut self.members[at];
        if !member.is_stopped {
            member.at = Where::GoingOn;
            self.queue.go_on(member.owner, at as u64, member.depth, at);
        } else if !waits {
            member.at = Where::Running;
            self.queue.go_on_now(member.owner, at as u64, member.depth);
        }
    }

    /// Tells a job and all beneath it to stop.
    fn stop(&mut self, at: usize) {
        self.members[at].is_stopped = true;
        match self.members[at].at {
            Where::NotStarted => self.end(at),
            Where::Queued => {
                let member = &self.members[at];
                assert_eq!(self.queue.remove(member.owner, at as u64), Some(at));
                self.end(at);
            }
            _ => {}
        }
        for child in self.children(at, |place| place != Where::Ended) {
            self.stop(child);
        }
        // It lets go of its children and waits for their ends; then it goes on whether there is a place or not.
        if matches!(self.members[at].at, Where::Parked | Where::GoingOn) {
            self.members[at].at = Where::Running;
            let member = &self.members[at];
            self.queue.go_on_now(member.owner, at as u64, member.depth);
        }
    }
}

proptest! {
    #[test]
    fn all_families_come_to_an_end(
        parents in prop::collection::vec((any::<u8>(), 0_u64..3), 1..40),
        (running_max, owner_running_max, parked_max, at_once) in (1_usize..4, 1_usize..3, 1_usize..3, 1_usize..4),
        choices in prop::collection::vec((any::<u16>(), any::<u8>()), 1..64),
    ) {
        let limits = Limits { running_max, queue_max: 0, owner_queue_max: 0, owner_running_max, parked_max };
        let mut play = Play::new(limits, at_once, &parents);
        for turn in 0.. {
            let steps = play.steps();
            if steps.is_empty() {
                break;
            }
            // Beyond a few rounds of the choices, something is wrong: nobody does the same for ever.
            prop_assert!(turn < 20_000, "it goes round in circles");
            let (choice, stop) = choices[turn % choices.len()];
            if stop < 4 {
                let at = usize::from(choice) % play.members.len();
                if play.members[at].at != Where::Ended {
                    play.stop(at);
                    continue;
                }
            }
            play.take(steps[usize::from(choice) % steps.len()]);
        }
        let left: Vec<_> = play.members.iter().filter(|member| member.at != Where::Ended).collect();
        prop_assert!(left.is_empty(), "{:?}", left);
        prop_assert_eq!((play.queue.len(), play.queue.parked(), play.queue.free()), (0, 0, running_max));
    }
}
