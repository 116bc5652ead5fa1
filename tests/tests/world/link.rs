//! One connection as the network has it: in order, both ways, and what is lost is the end of each way.

use std::collections::VecDeque;

use bytes::Bytes;
use windlass_protocol::Close;

use crate::judge::Window;
use crate::random::Random;

pub(crate) enum Down {
    Frame(Bytes),
    Close(Close),
    /// The connection is gone, without a word.
    End,
}

pub(crate) struct Link {
    pub(crate) id: u64,
    /// The page that opened it.
    pub(crate) page: usize,
    /// The session that it said hello to.
    pub(crate) host: Option<usize>,
    pub(crate) up: VecDeque<String>,
    /// After what is in `up` the server learns of the end.
    pub(crate) up_ends: bool,
    pub(crate) down: VecDeque<Down>,
    pub(crate) client_open: bool,
    pub(crate) server_open: bool,
    /// The server has written something that the socket has not said to have taken.
    pub(crate) unflushed: bool,
    /// How many frames the socket takes.
    pub(crate) room: usize,
    /// Nothing moves.
    pub(crate) stalled: bool,
    pub(crate) window: Window,
}

impl Link {
    pub(crate) fn open(id: u64, page: usize, room: usize, hello: String) -> Self {
        Self {
            id,
            page,
            host: None,
            up: VecDeque::from([hello]),
            up_ends: false,
            down: VecDeque::new(),
            client_open: true,
            server_open: true,
            unflushed: false,
            room,
            stalled: false,
            window: Window::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.client_open && !self.server_open
    }

    /// Both ends lose what was last on its way.
    pub(crate) fn cut(&mut self, random: &mut Random) {
        self.up.truncate(random.index(self.up.len() + 1));
        self.up_ends = true;
        self.down.truncate(random.index(self.down.len() + 1));
        self.down.push_back(Down::End);
        self.stalled = false;
    }

    /// The page's end is gone; the server does not know, now or (unless `told`) for long.
    pub(crate) fn leave(&mut self, told: bool, random: &mut Random) {
        self.client_open = false;
        self.down.clear();
        if !told {
            self.up.truncate(random.index(self.up.len() + 1));
        }
        self.up_ends = told;
        self.stalled = false;
    }

    /// The server has ended it.
    pub(crate) fn end(&mut self, close: Close) {
        self.server_open = false;
        self.up.clear();
        self.up_ends = false;
        if self.client_open {
            self.down.push_back(Down::Close(close));
        }
    }

    /// Whether the socket has taken what it was given.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unflushed && self.server_open && !self.stalled && self.down.len() < self.room
    }
}
