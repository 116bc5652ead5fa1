//! How a world comes to rest, and what it is held to then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use windlass_engine::JobStatus;
use windlass_protocol::{ClientId, ClientMessage, SessionId};

use crate::app::{Change, Kind};
use crate::disk::Disk;
use crate::host::{Host, In, Out, Report};
use crate::judge::{self, Held, broken};
use crate::link::Link;
use crate::page::{Page, Phase, Storage};
use crate::world::World;

impl World {
    pub(crate) fn quiet(&mut self) -> Held {
        self.note(|| "everything heals".to_owned());
        self.draining = false;
        self.heal_store()?;
        for page in &mut self.pages {
            (page.mute, page.refuse_next) = (false, false);
        }
        for link in self.links.values_mut() {
            link.stalled = false;
            link.up_ends |= !link.client_open;
        }
        self.thin_out()?;
        for _ in 0..ROUNDS_MAX {
            self.connect(true)?;
            self.greet()?;
            for host in 0..self.hosts.len() {
                if self.hosts[host].gone {
                    continue;
                }
                self.write_all(host)?;
                let (running, run) = (self.hosts[host].running.clone(), self.hosts[host].epoch);
                let ends = running.into_iter().map(|job| In::Report(job, run, Report::Ended(JobStatus::Done)));
                self.turn(host, ends.collect(), true)?;
                let deferred = self.hosts[host].deferred.clone();
                let ends = deferred.into_iter().map(|(ticket, action)| In::Settle(ticket, Some(action)));
                self.turn(host, ends.collect(), true)?;
                if self.faults.poison {
                    self.turn(host, vec![In::Update(Change::Heal)], true)?;
                }
            }
            let links: Vec<u64> = self.links.keys().copied().collect();
            for id in links {
                while self.links.get(&id).is_some_and(|link| link.client_open && !link.down.is_empty()) {
                    self.client_reads_one(id)?;
                }
            }
            self.pass(Duration::from_millis(1_050))?;
            for host in 0..self.hosts.len() {
                self.write_all(host)?;
            }
            if self.is_quiet() {
                return self.judge();
            }
        }
        let pages: Vec<_> = self.pages.iter().map(|page| (page.phase, page.storage.outbox.len(), page.stale)).collect();
        broken("RESUME", format!("the world does not come to rest: {pages:?}"))
    }

    fn is_quiet(&self) -> bool {
        let rests = |page: &Page| match page.phase {
            Phase::Live => page.storage.outbox.is_empty() && !page.stale,
            phase => phase == Phase::Stopped,
        };
        let idle = |link: &Link| link.up.is_empty() && link.down.is_empty() && !link.up_ends;
        let told = |host: &Host| {
            let written =
                host.disk.as_ref().is_none_or(Disk::is_idle) && host.session.turn() == host.session.saved_turn();
            host.gone || (!host.session.has_news() && host.running.is_empty() && host.deferred.is_empty() && written)
        };
        self.pages.iter().all(rests) && self.links.values().all(idle) && self.hosts.iter().all(told)
    }

    fn judge(&mut self) -> Held {
        self.wake_all()?;
        let lasting = self.hosts.iter().filter(|host| !host.never_was);
        self.judge.exactly_once(lasting.map(|host| host.session.state().log.as_slice()))?;
        let begun: Vec<u32> = self.hosts.iter().flat_map(|host| host.begun.iter().copied()).collect();
        self.judge.begun_once(Kind::Later, &begun, false)?;
        self.judge.begun_once(Kind::Post, &self.judge.posted, self.faults.durable)?;
        self.hooks()?;
        let hosts: BTreeMap<SessionId, usize> =
            self.hosts.iter().enumerate().map(|(at, host)| (host.session.id(), at)).collect();
        let live: Vec<usize> = (0..self.pages.len()).filter(|&at| self.pages[at].phase == Phase::Live).collect();
        for at in live {
            let page = &self.pages[at];
            let session: SessionId = page.storage.session.as_ref().expect("it was welcomed").parse().expect("an id");
            let host = hosts[&session];
            let client: ClientId = page.storage.client.parse().expect("an id");
            if let Err(broken) =
                judge::events(&page.storage.heard, &self.hosts[host].owed[&client], &self.hosts[host].undone)
            {
                return judge::broken(broken.promise, format!("page {at}: {}", broken.story));
            }
            let fresh = self.fresh_document(host)?;
            if fresh != self.pages[at].document {
                let story = format!("page {at} shows {}\ninstead of {fresh}", self.pages[at].document);
                return broken("CONVERGE", story);
            }
            let mut view = fresh;
            view.as_object_mut().expect("a document is an object").remove("$jobs");
            if view != self.hosts[host].view() {
                return broken("CONVERGE", format!("a new client is shown {view}"));
            }
        }
        for record in &self.judge.tickets {
            let alive = |page: &Page| page.phase == Phase::Live && page.storage.name() == record.client;
            let shared = self.pages.iter().any(|page| page.storage.heard.torn) || self.faults.duplicates;
            if record.outcome.is_none() && !shared && self.pages.iter().any(alive) {
                return broken("NO-SILENCE", format!("nobody answers {record:?}"));
            }
        }
        Ok(())
    }

    /// More pages than a session keeps cannot all rest: some are closed for good.
    fn thin_out(&mut self) -> Held {
        for at in KEPT_MAX..self.pages.len() {
            self.leave(at, true, Duration::ZERO);
            self.pages[at].phase = Phase::Stopped;
            self.pages[at].abandon(&mut self.judge)?;
        }
        Ok(())
    }

    /// HOOKS: the app knows who is there, and nobody acted on what they had not seen.
    fn hooks(&mut self) -> Held {
        for host in self.hosts.iter().filter(|host| !host.gone) {
            let state = host.session.state();
            let session = host.session.id().to_string();
            let there =
                |page: &&Page| page.phase == Phase::Live && page.storage.session.as_deref() == Some(session.as_str());
            let online = self.pages.iter().filter(there).count();
            if usize::try_from(state.online).ok() != Some(online) {
                return broken("HOOKS", format!("the app was told of {} pages, {online} are there", state.online));
            }
            if let Some((job, ends)) = state.ends.iter().find(|(_, ends)| **ends != 1) {
                return broken("ONE-END", format!("the job {job} has ended {ends} times"));
            }
            if !state.late.is_empty() {
                return broken("ONE-END", format!("{:?} had something to say after their ends", state.late));
            }
            if !state.misled.is_empty() {
                return broken("SEEN", format!("{:?} asked for what their pages had not seen", state.misled));
            }
        }
        Ok(())
    }

    /// What a client that has never been here is shown.
    fn fresh_document(&mut self, host: usize) -> Held<Value> {
        let mut probe = Page::load(Storage::new(self.fresh_client()), self.fresh_instance());
        let text = probe.hello();
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(&text) else { unreachable!("a hello") };
        let connection = u64::MAX - self.made;
        probe.phase = Phase::Greeting;
        let mut outs = self.hosts[host].turn(vec![In::Hello(connection, hello)], &mut self.scratch, self.now)?;
        // A new client of a session that is kept is welcomed when it is.
        while let Some(write) = self.hosts[host].disk.as_mut().and_then(Disk::next) {
            outs.extend(self.hosts[host].turn(vec![In::Saved(write.turn)], &mut self.scratch, self.now)?);
        }
        for out in outs {
            if let Out::Send(to, frame) = out
                && to == connection
            {
                probe.receive(&frame, self.now, &mut self.judge, &mut Vec::new())?;
            }
        }
        self.hosts[host].turn(vec![In::Lost(connection)], &mut self.scratch, self.now)?;
        Ok(probe.document)
    }
}

/// Pages that may stay: fewer than a session keeps, so that a new one finds room.
const KEPT_MAX: usize = 14;
const ROUNDS_MAX: u32 = 100;
