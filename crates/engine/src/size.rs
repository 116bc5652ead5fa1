//! How large a session's state may be, and how large it is known to be without measuring it at every turn.
//!
//! Measuring is writing the state down and counting, which no turn of a large table can afford. But a page's document
//! grows by no more than the bytes of the ops that tell of it, so that most turns need an addition and a comparison. What
//! no page is told, private fields say, is looked at now and then: as often as it costs little beside the turns.

use crate::guard::bury;
use crate::{App, Fault, Output, Session, guard};

/// Bytes that a session's state may have as JSON, when nobody says otherwise: 8 MiB.
pub const STATE_BYTES_MAX: usize = 8 << 20;

/// What is known of the size of a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateSize {
    max: usize,
    /// As it was measured last; 0 before.
    measured: usize,
    /// What it can have grown by since, as far as pages were told.
    grown: usize,
    /// Rises with turns that may have changed what no page was told; it is measured when this has reached its size.
    unseen: usize,
    /// A change that nobody sends again was refused, since somebody last asked.
    refused: bool,
}

impl StateSize {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, measured: 0, grown: 0, unseen: 0, refused: false }
    }

    /// A walk has told all that was to be told, in so many bytes.
    pub(crate) fn told(&mut self, bytes: usize) {
        self.grown = self.grown.saturating_add(bytes);
        self.unseen = self.unseen.saturating_add(WALKED);
    }

    /// A document of so many bytes was written.
    pub(crate) fn shown(&mut self, bytes: usize) {
        self.grown = self.grown.max(bytes.saturating_sub(self.measured));
    }

    /// A turn has changed the state, and no page was told.
    pub(crate) fn untold(&mut self) {
        self.unseen = self.unseen.saturating_add(UNWALKED);
    }

    /// A record of so many bytes was stored.
    pub(crate) fn stored(&mut self, bytes: usize) {
        if bytes > self.max && !self.is_over() {
            self.unseen = usize::MAX;
        }
    }

    pub(crate) fn is(&mut self, bytes: usize) {
        (self.measured, self.grown, self.unseen) = (bytes, 0, 0);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.measured > self.max
    }

    fn is_due(&self) -> bool {
        self.measured.saturating_add(self.grown) > self.max || self.unseen >= self.measured.max(LEAST)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.measured + self.grown
    }

    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    fn fault(&self, bytes: usize) -> Fault {
        let text = format!("the state would have {bytes} bytes, more than the {} that it may have", self.max);
        Fault::failed("state_too_large", text)
    }
}

impl<A: App> Session<A> {
    /// Why what a handler did cannot be kept in a state that is too large already: it would be larger still.
    pub(crate) fn outgrows(&mut self, app: &A, before: &A::State, is_action: bool) -> Option<Fault> {
        let (old, new) = (measure(app, before)?, measure(app, &self.state)?);
        if new <= self.size.max || new <= old {
            self.size.is(new);
            return None;
        }
        app.outgrown(new);
        self.size.refused |= !is_action;
        Some(self.size.fault(new))
    }

    /// Takes the turn back when it has made the state larger than it may be. Whether it did.
    pub(crate) fn hold_to_size(&mut self, app: &A) -> bool {
        if !self.size.is_due() {
            return false;
        }
        let Some(new) = measure(app, &self.state) else {
            // The walk says what is wrong with it.
            self.size.unseen = 0;
            return false;
        };
        if new <= self.size.max {
            self.size.is(new);
            return false;
        }
        let before = self.batch.before_all();
        let old = before.as_ref().map(|before| measure(app, before).unwrap_or_default());
        if !self.size.is_over() && old.is_none_or(|old| old > self.size.max) {
            let fault = self.size.fault(new);
            let text = format!("{}; it cannot be taken back, and only what makes it no larger is taken", fault.text);
            self.outputs.push(Output::Fault(Fault { text, ..fault }));
        }
        let (before, old) = match (before, old) {
            (Some(before), Some(old)) if new > old => (before, old),
            (before, _) => {
                self.batch.before = before;
                self.size.is(new);
                return false;
            }
        };
        app.outgrown(new);
        bury(std::mem::replace(&mut self.state, before));
        self.size.is(old);
        let fault = self.size.fault(new);
        if std::mem::take(&mut self.batch.is_sole) {
            self.size.refused = true;
            self.outputs.push(Output::Fault(fault.clone()));
        }
        self.take_back(&fault);
        true
    }
}

fn measure<A: App>(app: &A, state: &A::State) -> Option<usize> {
    guard(|| windlass_sync::saving(|| app.measure(state))).ok().flatten()
}

/// A turn whose changes pages were told may have changed as much beside: a state of 1 KiB is measured every 64 turns,
/// which takes a hundredth of them.
const WALKED: usize = 16;
/// A turn that no walk followed had the time for as much as this.
const UNWALKED: usize = 1024;
/// Smaller ones are measured as seldom as one of this size.
const LEAST: usize = 1024;
