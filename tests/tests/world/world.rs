//! A world: pages, a network that fails, sessions on a server, and time that passes only here.
//!
//! [`World::run`] lives a while under the faults that its seed has chosen, then heals everything and judges.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass_engine::{JobStatus, Scratch, Time};
use windlass_protocol::{ClientId, ClientMessage, Close, CloseCode};

use crate::app::{Change, Kind};
use crate::dialect;
use crate::host::{Host, In, Out, Report, frame_number};
use crate::judge::{self, Held, Judge, broken};
use crate::link::{Down, Link};
use crate::page::{After, Page, Phase, Storage};
use crate::plant::Planted;
use crate::random::Random;

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) pages: Vec<Page>,
    pub(crate) judge: Judge,
    /// Sent to other sessions, not delivered.
    pub(crate) posts: Vec<u32>,
    /// Which pages have spoken for a client, the last one last: what the lock of a browser knows.
    pub(crate) claims: BTreeMap<String, Vec<usize>>,
    pub(crate) scratch: Scratch,
    pub(crate) draining: bool,
    /// The store does not answer.
    pub(crate) store_is_down: bool,
    /// How many records it was asked to keep, and which of them, from 1, fails whatever else is well.
    pub(crate) writes: u64,
    pub(crate) fails_at: u64,
    /// The last epoch that was given out.
    pub(crate) epochs: u64,
    pub(crate) made: u64,
    pub(crate) planted: Planted,
    pub(crate) seed: u64,
    pub(crate) trace: bool,
}

/// What goes wrong in this world: each fault is there or not, and so are their meetings.
pub(crate) struct Faults {
    pub(crate) cuts: bool,
    pub(crate) half_open: bool,
    pub(crate) stalls: bool,
    pub(crate) reloads: bool,
    pub(crate) duplicates: bool,
    pub(crate) mutes: bool,
    pub(crate) refusals: bool,
    pub(crate) poison: bool,
    pub(crate) blobs: bool,
    pub(crate) floods: bool,
    pub(crate) restart: bool,
    /// Clients without a token join one session.
    pub(crate) shared: bool,
    /// More clients on one session than it keeps.
    pub(crate) crowd: bool,
    /// Hours pass, after which tokens are replaced.
    pub(crate) hours: bool,
    /// Sessions keep records, and the server is killed, parks sessions, or loses them to another one.
    pub(crate) durable: bool,
    /// Nothing is shown before it is saved.
    pub(crate) strict: bool,
    /// The store fails now and then, and for a while.
    pub(crate) outages: bool,
}

impl World {
    pub(crate) fn new(seed: u64, planted: Planted, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let mut some = |n| random.one_in(n);
        let faults = Faults {
            cuts: !some(4),
            half_open: some(2),
            stalls: some(2),
            reloads: some(2),
            duplicates: some(3),
            mutes: some(3),
            refusals: some(3),
            poison: some(4),
            blobs: some(4),
            floods: some(6),
            restart: some(4),
            shared: some(2),
            crowd: some(12),
            hours: some(4),
            durable: !some(3),
            strict: some(6),
            outages: some(2),
        };
        let fails_at = if random.one_in(2) { 1 + random.below(12) } else { 0 };
        let faults = match faults.crowd {
            // A copy of a page whose client is let go could not be told from the page.
            true => Faults { shared: true, duplicates: false, restart: false, ..faults },
            false => faults,
        };
        Self {
            random,
            faults,
            now: Time::default(),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            pages: Vec::new(),
            judge: Judge::default(),
            posts: Vec::new(),
            claims: BTreeMap::new(),
            scratch: Scratch::default(),
            draining: false,
            store_is_down: false,
            writes: 0,
            fails_at,
            epochs: 0,
            made: 0,
            planted,
            seed,
            trace,
        }
    }

    /// Lives, heals and judges.
    pub(crate) fn run(&mut self) -> Held {
        let pages = if self.faults.crowd { CROWD } else { 1 + self.random.below(3) };
        for _ in 0..pages {
            let mut storage = Storage::new(self.fresh_client());
            if self.planted.is_none() {
                storage.dialect = dialect::of(self.seed, self.pages.len());
            }
            let page = Page::load(storage, self.fresh_instance());
            self.pages.push(page);
        }
        let lives = if self.faults.restart { 2 } else { 1 };
        for life in 1..=lives {
            for _ in 0..STEPS_MIN + self.random.below(STEPS_MORE) {
                self.step()?;
            }
            if life == lives {
                break;
            }
            self.drain()?;
        }
        self.quiet()
    }

    fn step(&mut self) -> Held {
        if self.faults.durable && self.random.one_in(4) {
            return self.store_step();
        }
        match self.random.below(64) {
            0..=17 => self.server_turn(),
            18..=33 => self.client_reads(),
            34..=45 => self.act(),
            46..=49 => self.connect(false),
            50..=53 => {
                let millis = match self.random.below(12) {
                    0 if self.faults.hours => 3_700_000,
                    0 => 16_000,
                    1..=3 => 1_050,
                    _ => self.random.below(60),
                };
                self.pass(Duration::from_millis(millis))
            }
            54 | 55 => self.outside(),
            56 => self.settle(),
            57 | 58 => self.jobs(),
            // Nothing else may happen for a while, and the sockets move.
            59 => self.pass(Duration::from_millis(1)),
            _ => self.fault(),
        }
    }

    // What pages do.

    pub(crate) fn fresh_client(&mut self) -> String {
        self.made += 1;
        format!("{:024x}", self.made)
    }

    pub(crate) fn fresh_instance(&mut self) -> String {
        self.made += 1;
        format!("{:x}", self.made)
    }

    fn some_page(&mut self) -> usize {
        self.random.index(self.pages.len())
    }

    fn act(&mut self) -> Held {
        let at = self.some_page();
        // A copy that was not welcomed does not know which numbers are free.
        if self.pages[at].phase == Phase::Stopped || self.pages[at].copied {
            return Ok(());
        }
        let count = if self.random.one_in(40) { 40 } else { 1 + self.random.below(2) };
        for _ in 0..count {
            let kind = match self.random.below(34) {
                0 => Kind::Fail,
                1 => Kind::Panic,
                2 if self.faults.poison => Kind::Poison,
                3 if self.faults.blobs => Kind::Blob,
                4 if self.faults.floods => Kind::Flood,
                17 => Kind::Unknown,
                5 => Kind::Malformed,
                6 => Kind::Cancel,
                7 => Kind::Query,
                8 => Kind::InPlace,
                9 | 10 => Kind::Start,
                11..=13 => Kind::Emit,
                14..=16 => Kind::Reply,
                24..=26 => Kind::Later,
                27 => Kind::Set,
                28 => Kind::Stray,
                29 | 30 => Kind::Seen,
                31 => Kind::Hold,
                32 => Kind::Release,
                33 => Kind::Post,
                23 => Kind::Kept,
                _ => Kind::Edit,
            };
            let (secret, choice) = (self.random.one_in(8), self.random.next() >> 12);
            let mut out = Vec::new();
            self.pages[at].act(kind, secret, choice, &mut self.judge, &mut out);
            self.note(|| format!("page {at} asks for {kind:?}"));
            self.send(at, out);
        }
        Ok(())
    }

    fn send(&mut self, page: usize, out: Vec<String>) {
        let Some(link) = self.pages[page].link.and_then(|id| self.links.get_mut(&id)) else { return };
        if link.server_open && !link.up_ends {
            link.up.extend(out);
        }
    }

    /// Opens a connection for a page that waits for one; `now` says that no backoff counts.
    pub(crate) fn connect(&mut self, now: bool) -> Held {
        for at in 0..self.pages.len() {
            let Phase::Waiting(until) = self.pages[at].phase else { continue };
            if !now && (until > self.now || self.random.one_in(3)) {
                continue;
            }
            let claims = self.claims.entry(self.pages[at].storage.client.clone()).or_default();
            if claims.last().is_some_and(|holder| *holder != at) && self.pages[at].welcomed {
                let client = self.fresh_client();
                self.note(|| format!("page {at} has lost its client to another tab"));
                self.pages[at].become_another(client, &mut self.judge)?;
            }
            self.made += 1;
            let (id, room) = (self.made, 1 + self.random.index(6));
            let page = &mut self.pages[at];
            let claims = self.claims.entry(page.storage.client.clone()).or_default();
            claims.retain(|page| *page != at);
            claims.push(at);
            page.phase = Phase::Greeting;
            page.link = Some(id);
            let hello = page.hello();
            self.note(|| format!("page {at} opens {id}: {hello}"));
            self.links.insert(id, Link::open(id, at, room, hello));
        }
        Ok(())
    }

    fn client_reads(&mut self) -> Held {
        let Some(id) = self.some_link(|link| link.client_open && !link.stalled && !link.down.is_empty()) else {
            return Ok(());
        };
        for _ in 0..=self.random.below(4) {
            self.client_reads_one(id)?;
        }
        Ok(())
    }

    pub(crate) fn client_reads_one(&mut self, id: u64) -> Held {
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        if !link.client_open {
            return Ok(());
        }
        let (at, now) = (link.page, self.now);
        let Some(down) = link.down.pop_front() else { return Ok(()) };
        let mut out = Vec::new();
        match down {
            Down::Frame(frame) => {
                if self.trace {
                    println!("{:?} page {at} <- {}", now.elapsed(), shortened(&frame));
                }
                let after = self.pages[at].receive(&frame, now, &mut self.judge, &mut out)?;
                self.send(at, out);
                if let After::Closes(wait) = after {
                    self.leave(at, true, wait);
                }
            }
            Down::Close(close) => {
                self.note(|| format!("page {at} is closed: {close:?}"));
                link_closed(&mut self.links, id);
                let wait = close.retry_after.unwrap_or_default();
                self.pages[at].disconnected(now + wait);
                match close.code {
                    CloseCode::InUse => {
                        if let Some(claims) = self.claims.get_mut(&self.pages[at].storage.client) {
                            claims.retain(|page| *page != at);
                        }
                        let client = self.fresh_client();
                        self.pages[at].become_another(client, &mut self.judge)?;
                    }
                    CloseCode::TakenOver => {
                        let page = &self.pages[at];
                        let client = page.storage.client.parse().expect("an id");
                        self.judge.taken_over(client, &page.instance)?;
                        self.pages[at].phase = Phase::Stopped;
                        self.pages[at].abandon(&mut self.judge)?;
                    }
                    CloseCode::Silent | CloseCode::Draining | CloseCode::Busy | CloseCode::Elsewhere => {}
                    other => return broken("PROTOCOL", format!("a client that is right was closed with {other}")),
                }
            }
            Down::End => {
                link_closed(&mut self.links, id);
                let backoff = Duration::from_millis(self.random.below(600));
                self.pages[at].disconnected(now + backoff);
            }
        }
        self.sweep();
        Ok(())
    }

    /// A page lets go of its connection.
    pub(crate) fn leave(&mut self, page: usize, told: bool, wait: Duration) {
        if let Some(id) = self.pages[page].link
            && let Some(link) = self.links.get_mut(&id)
        {
            link.leave(told, &mut self.random);
        }
        self.pages[page].disconnected(self.now + wait);
        self.sweep();
    }

    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| !link.is_over());
    }

    // What the server does.

    fn some_link(&mut self, fits: impl Fn(&Link) -> bool) -> Option<u64> {
        let fitting: Vec<u64> = self.links.values().filter(|link| fits(link)).map(|link| link.id).collect();
        (!fitting.is_empty()).then(|| *self.random.pick(&fitting))
    }

    fn server_turn(&mut self) -> Held {
        self.greet()?;
        let hosts: Vec<usize> = (0..self.hosts.len()).filter(|&at| !self.hosts[at].gone).collect();
        if hosts.is_empty() {
            return Ok(());
        }
        let host = *self.random.pick(&hosts);
        self.turn(host, Vec::new(), false)
    }

    /// Finds a session for each connection that has said hello.
    pub(crate) fn greet(&mut self) -> Held {
        let new: Vec<u64> =
            self.links.values().filter(|link| link.host.is_none() && !link.stalled).map(|link| link.id).collect();
        for id in new {
            let link = self.links.get_mut(&id).expect("it was just there");
            let Some(text) = link.up.pop_front() else {
                if link.up_ends {
                    link.server_open = false;
                }
                continue;
            };
            if self.draining {
                let close = Close { retry_after: Some(Duration::from_millis(300)), ..CloseCode::Draining.into() };
                link.end(close);
                continue;
            }
            let page = link.page;
            let dialect = self.pages[page].storage.dialect;
            let text = dialect::said(dialect, &text);
            let Ok(ClientMessage::Hello(hello)) = dialect.decode(&text) else {
                return broken("PROTOCOL", format!("no hello: {text}"));
            };
            self.judge.greeted(hello.client, &hello.instance);
            self.wake_named(&hello)?;
            let known = self.hosts.iter().position(|host| host.accepts(&hello));
            if known.is_none() {
                self.check_known(page, &hello)?;
            }
            let host = known.unwrap_or_else(|| self.fresh_host(hello.client));
            self.links.get_mut(&id).expect("it was just there").host = Some(host);
            self.turn(host, vec![In::Hello(id, hello)], false)?;
        }
        self.sweep();
        Ok(())
    }

    fn fresh_host(&mut self, client: ClientId) -> usize {
        let room = if self.faults.crowd { usize::MAX } else { CLIENTS_MAX };
        let open = |host: &Host| !host.gone && !host.owed.contains_key(&client) && host.owed.len() < room;
        if self.faults.shared
            && let Some(at) = self.hosts.iter().position(open)
        {
            return at;
        }
        let (epoch, saves) = (self.next_epoch(), self.save_options());
        self.hosts.push(Host::new(self.hosts.len() as u64 + 1, epoch, saves));
        self.hosts.len() - 1
    }

    /// One turn of a session: what came from its sockets, all of it or some, and `first`.
    pub(crate) fn turn(&mut self, host: usize, first: Vec<In>, all: bool) -> Held {
        let mut inputs = first;
        for link in self.links.values_mut().filter(|link| link.host == Some(host)) {
            if link.is_flushed() {
                link.unflushed = false;
                inputs.push(In::Ready(link.id));
            }
            if !link.server_open || link.stalled {
                continue;
            }
            let most = link.up.len().min(INPUTS_MAX);
            let count = if all || self.random.one_in(2) { most } else { self.random.index(most + 1) };
            for text in link.up.drain(..count) {
                if let Some(n) = text.strip_prefix("[\"k\",").and_then(|rest| rest.strip_suffix(']')) {
                    link.window.acknowledged(n.parse().expect("a number"));
                }
                if text == "[\"r\"]" {
                    // Its page discards what came before the snapshot that it asks for.
                    link.window = judge::Window::default();
                }
                inputs.push(In::Text(link.id, text));
            }
            if link.up.is_empty() && link.up_ends {
                link.server_open = false;
                inputs.push(In::Lost(link.id));
            }
        }
        // As the driver does it: a socket that takes more is a reason only when there is more.
        let reason = inputs.iter().any(|input| !matches!(input, In::Ready(_)));
        if !reason && !self.hosts[host].session.has_news() {
            self.later(inputs);
            return Ok(());
        }
        self.planted.inputs(&mut inputs, &mut self.random);
        if self.trace && !inputs.is_empty() {
            println!("{:?} session {host} <- {inputs:?}", self.now.elapsed());
        }
        let outs = self.hosts[host].turn(inputs, &mut self.scratch, self.now)?;
        let mut frames: Vec<(u64, bytes::Bytes)> = Vec::new();
        let mut closes = Vec::new();
        for out in outs {
            match out {
                Out::Send(to, frame) => {
                    let Some(link) = self.links.get_mut(&to) else { continue };
                    if !link.server_open {
                        continue;
                    }
                    if let Some(n) = frame_number(&frame) {
                        link.window.sent(n, frame.len())?;
                    }
                    link.unflushed = true;
                    frames.push((to, frame));
                }
                Out::Close(to, close) => closes.push((to, close)),
                Out::Post(action) => self.posts.push(action),
            }
        }
        self.planted.frames(&mut frames, &mut self.random);
        for (to, frame) in frames {
            let link = self.links.get_mut(&to).expect("it was just there");
            if link.client_open && !matches!(link.down.back(), Some(Down::End)) {
                link.down.push_back(Down::Frame(frame));
            }
        }
        self.planted.closes(&mut closes);
        for (to, close) in closes {
            if self.trace {
                println!("{:?} session {host} closes {to}: {close:?}", self.now.elapsed());
            }
            if let Some(link) = self.links.get_mut(&to) {
                link.end(close);
            }
        }
        self.sweep();
        self.deliver(host)
    }

    /// What a session has sent to others reaches one of them, which may be itself.
    fn deliver(&mut self, from: usize) -> Held {
        while let Some(action) = self.posts.pop() {
            self.judge.posted.push(action);
            let to = self.some_host().unwrap_or(from);
            if self.hosts[to].is_frozen {
                continue;
            }
            self.turn(to, vec![In::Update(Change::Note(POSTED + action, u64::from(action)))], false)?;
        }
        Ok(())
    }

    /// Nothing has to be said now: the sockets' word waits for the next turn.
    fn later(&mut self, inputs: Vec<In>) {
        for input in inputs {
            if let In::Ready(id) = input
                && let Some(link) = self.links.get_mut(&id)
            {
                link.unflushed = true;
            }
        }
    }

    /// Time passes, deadline by deadline.
    pub(crate) fn pass(&mut self, duration: Duration) -> Held {
        let end = self.now + duration;
        loop {
            let due = |host: &Host| if host.gone { None } else { host.session.deadline() };
            let next = (0..self.hosts.len()).filter_map(|at| Some((due(&self.hosts[at])?, at))).min();
            let Some((at, host)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.turn(host, vec![In::Timer], false)?;
        }
        self.now = end;
        for at in 0..self.pages.len() {
            let mut out = Vec::new();
            self.pages[at].tick(end, &mut out);
            self.send(at, out);
        }
        Ok(())
    }

    pub(crate) fn some_host(&mut self) -> Option<usize> {
        let hosts: Vec<usize> = (0..self.hosts.len()).filter(|&at| !self.hosts[at].gone).collect();
        (!hosts.is_empty()).then(|| *self.random.pick(&hosts))
    }

    fn outside(&mut self) -> Held {
        let Some(host) = self.some_host() else { return Ok(()) };
        self.made += 1;
        let choice = self.random.next() >> 12;
        let change = match self.random.below(6) {
            0 => Change::Fail(choice),
            1 => Change::Heal,
            _ => Change::Note(u32::try_from(self.made).expect("few"), choice),
        };
        self.turn(host, vec![In::Update(change)], false)
    }

    /// An asynchronous action ends, not in the order in which they began.
    fn settle(&mut self) -> Held {
        let Some(host) = self.some_host() else { return Ok(()) };
        let deferred = &self.hosts[host].deferred;
        if deferred.is_empty() {
            return Ok(());
        }
        let (ticket, action) = *self.random.pick(deferred);
        let answer = (!self.random.one_in(4)).then_some(action);
        let mut inputs = vec![In::Settle(ticket, answer)];
        if self.random.one_in(4) {
            // What has ended has ended.
            inputs.push(In::Settle(ticket, Some(action)));
        }
        self.turn(host, inputs, false)
    }

    fn jobs(&mut self) -> Held {
        let Some(host) = self.some_host() else { return Ok(()) };
        // What a server that goes down has lost has not ended when the next one runs it: it says no more.
        let drains = self.hosts[host].drains;
        let ended = |random: &mut Random| {
            let lost = if drains { JobStatus::Cancelled } else { JobStatus::Lost };
            let ends = [JobStatus::Done, JobStatus::Failed, JobStatus::Cancelled, JobStatus::TimedOut, lost];
            Report::Ended(*random.pick(&ends))
        };
        // A process of before the crash, or of the server that had the session before, does not know that it is over.
        if self.random.one_in(4) && !self.hosts[host].ghosts.is_empty() {
            let (job, run) = *self.random.pick(&self.hosts[host].ghosts);
            let report = In::Report(job, run, ended(&mut self.random));
            return self.turn(host, vec![report], false);
        }
        let any = |random: &mut Random| {
            let choice = random.next() >> 12;
            match random.below(8) {
                0 => Report::Started,
                1 => Report::Progress(choice),
                2 => Report::Partials(choice),
                3 | 4 => Report::Running(choice),
                _ => ended(random),
            }
        };
        let jobs = &self.hosts[host];
        // Now and then of a job that is over.
        let from = if self.random.one_in(4) { &jobs.over } else { &jobs.running };
        if from.is_empty() {
            return Ok(());
        }
        let job = *self.random.pick(from);
        let run = jobs.epoch;
        let mut inputs = vec![In::Report(job, run, any(&mut self.random))];
        if self.random.one_in(4) {
            inputs.push(In::Report(job, run, ended(&mut self.random)));
        }
        self.turn(host, inputs, false)
    }

    // What goes wrong.

    fn fault(&mut self) -> Held {
        let at = self.some_page();
        let Faults { cuts, half_open, stalls, reloads, duplicates, mutes, refusals, .. } = self.faults;
        match self.random.below(16) {
            0..=2 if cuts => {
                if let Some(id) = self.some_link(|link| link.client_open && link.server_open && !link.up_ends) {
                    self.note(|| format!("{id} is cut"));
                    let link = self.links.get_mut(&id).expect("it was just there");
                    link.cut(&mut self.random);
                }
            }
            3 | 4 if half_open && self.pages[at].link.is_some() => {
                self.note(|| format!("page {at} loses its connection, the server does not know"));
                self.leave(at, false, Duration::ZERO);
            }
            5 => {
                if let Some(id) = self.some_link(|link| !link.client_open && !link.up_ends) {
                    self.links.get_mut(&id).expect("it was just there").up_ends = true;
                }
            }
            6 | 7 if stalls => {
                if let Some(id) = self.some_link(|link| link.client_open) {
                    let link = self.links.get_mut(&id).expect("it was just there");
                    link.stalled = !link.stalled;
                }
            }
            8 if stalls => self.links.values_mut().for_each(|link| link.stalled = false),
            9 | 10 if reloads && self.pages[at].phase != Phase::Stopped => self.reload(at),
            // What a page that has no session yet has asked for, only the lock of a browser keeps from its copy.
            11 if duplicates
                && self.pages.len() < PAGES_MAX
                && self.pages[at].phase != Phase::Stopped
                && self.pages[at].storage.session.is_some() =>
            {
                let keep = self.random.one_in(2);
                let storage = self.pages[at].copy(keep);
                let mut copy = Page::load(storage, self.fresh_instance());
                copy.copied = true;
                copy.phase = Phase::Waiting(self.now);
                self.pages.push(copy);
                self.note(|| format!("page {at} is duplicated"));
            }
            12 | 13 if mutes => self.pages[at].mute = !self.pages[at].mute,
            14 if refusals => self.pages[at].refuse_next = true,
            15 => self.send_ping(at),
            _ => {}
        }
        Ok(())
    }

    fn send_ping(&mut self, page: usize) {
        if self.pages[page].phase == Phase::Live {
            self.send(page, vec!["[\"p\"]".to_owned()]);
        }
    }

    fn reload(&mut self, at: usize) {
        let told = self.random.one_in(2);
        self.leave(at, told, Duration::ZERO);
        let keep = self.random.one_in(2);
        let storage = self.pages[at].leave(keep);
        let (copied, welcomed) = (self.pages[at].copied, self.pages[at].welcomed);
        self.note(|| format!("page {at} reloads, with its document: {keep}"));
        let mut page = Page::load(storage, self.fresh_instance());
        (page.copied, page.welcomed, page.phase) = (copied, welcomed, Phase::Waiting(self.now));
        self.pages[at] = page;
    }

    /// The server says that it goes, goes, and another one comes that knows no session.
    fn drain(&mut self) -> Held {
        self.note(|| "the server drains".to_owned());
        for host in (0..self.hosts.len()).filter(|&at| !self.hosts[at].gone).collect::<Vec<_>>() {
            self.hosts[host].drains = true;
            self.turn(host, vec![In::Drain], false)?;
        }
        self.draining = self.random.one_in(2);
        for _ in 0..STEPS_MIN / 2 {
            self.step()?;
        }
        self.draining = false;
        if self.faults.durable {
            self.freeze()?;
        }
        self.note(|| "the server is another one".to_owned());
        for host in self.hosts.iter_mut().filter(|host| !host.gone) {
            // What it was is what it will have been.
            host.gone = true;
        }
        for link in self.links.values_mut().filter(|link| link.server_open) {
            link.end(CloseCode::Draining.into());
        }
        self.sweep();
        Ok(())
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:?} {}", self.now.elapsed(), what());
        }
    }
}

fn link_closed(links: &mut BTreeMap<u64, Link>, id: u64) {
    if let Some(link) = links.get_mut(&id) {
        link.client_open = false;
        link.down.clear();
        if link.server_open {
            link.up_ends = true;
        }
    }
}

fn shortened(frame: &[u8]) -> String {
    let text = String::from_utf8_lossy(frame);
    text.chars().take(400).collect()
}

const STEPS_MIN: u64 = 60;
const STEPS_MORE: u64 = 120;
/// More than a session keeps.
const CROWD: u64 = 19;
/// The numbers of updates that another session has sent begin here.
const POSTED: u32 = 1_000_000;
const PAGES_MAX: usize = 6;
/// Below the engine's own bound, so that nobody is evicted and the probe finds room.
const CLIENTS_MAX: usize = 12;
/// As the driver takes them.
const INPUTS_MAX: usize = 64;
