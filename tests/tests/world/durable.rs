//! What happens to a server that keeps records: its store answers, fails or loses the answer, its process ends without
//! a word or in order, and its sessions leave memory or go to another server.

use windlass_engine::{Durability, SaveOptions};
use windlass_protocol::{CloseCode, Epoch, Hello, Token};

use crate::host::{Host, In};
use crate::judge::{Held, broken};
use crate::link::Down;
use crate::plant::Plant;
use crate::world::World;

impl World {
    pub(crate) fn store_step(&mut self) -> Held {
        match self.random.below(32) {
            0 | 1 => self.crash(),
            2 | 3 => self.park(),
            4 => self.fence(),
            5 if self.faults.outages => self.outage(!self.store_is_down),
            _ => {
                let busy = |host: &Host| !host.gone && host.disk.as_ref().is_some_and(|disk| !disk.is_idle());
                let busy: Vec<usize> = (0..self.hosts.len()).filter(|&at| busy(&self.hosts[at])).collect();
                if busy.is_empty() {
                    return Ok(());
                }
                let host = *self.random.pick(&busy);
                self.write_one(host)
            }
        }
    }

    pub(crate) fn save_options(&self) -> Option<SaveOptions> {
        let durability = if self.faults.strict { Durability::Strict } else { Durability::Eager };
        let options = SaveOptions { durability, store_is_up: !self.store_is_down, ..SaveOptions::default() };
        self.faults.durable.then_some(options)
    }

    pub(crate) fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    /// The store answers about one record: it is kept, or not, or it is and the answer says that nothing is known.
    fn write_one(&mut self, host: usize) -> Held {
        let early = self.planted.is(Plant::SaveEarly) && self.random.one_in(2);
        let disk = self.hosts[host].disk.as_mut().expect("it keeps records");
        let before = disk.stored().cloned();
        if let Some(write) = disk.waiting() {
            self.planted.record(&mut write.bytes, before.as_ref(), &mut self.random);
        }
        let Some(write) = disk.next() else { return Ok(()) };
        self.writes += 1;
        let flaky = self.faults.outages && self.random.one_in(8);
        let fails = self.store_is_down || self.writes == self.fails_at || flaky;
        let is_kept = !early && (!fails || (!self.store_is_down && self.random.one_in(2)));
        if is_kept {
            disk.store(write.bytes.clone());
        }
        let answer = if fails {
            In::SaveFailed(write.turn)
        } else {
            disk.told(&write);
            In::Saved(write.turn)
        };
        self.turn(host, vec![answer], false)
    }

    pub(crate) fn write_all(&mut self, host: usize) -> Held {
        while self.hosts[host].disk.as_ref().is_some_and(|disk| !disk.is_idle()) {
            self.write_one(host)?;
        }
        Ok(())
    }

    fn outage(&mut self, is_down: bool) -> Held {
        self.note(|| format!("the store is down: {is_down}"));
        self.store_is_down = is_down;
        // That it fails, sessions may find out by themselves; that it is back, they are told.
        if is_down && self.random.one_in(2) {
            return Ok(());
        }
        for host in self.loaded() {
            self.turn(host, vec![In::Store(!is_down)], false)?;
        }
        Ok(())
    }

    pub(crate) fn heal_store(&mut self) -> Held {
        (self.faults.outages, self.fails_at) = (false, 0);
        if self.faults.durable { self.outage(false) } else { Ok(()) }
    }

    fn loaded(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&at| !self.hosts[at].gone && self.hosts[at].disk.is_some()).collect()
    }

    /// The process is killed.
    fn crash(&mut self) -> Held {
        self.note(|| "the server is killed".to_owned());
        for host in self.loaded() {
            let host = &mut self.hosts[host];
            host.disk.as_mut().expect("it keeps records").crash(&mut self.random);
            host.unload();
        }
        for link in self.links.values_mut().filter(|link| link.server_open) {
            (link.server_open, link.up_ends, link.stalled) = (false, false, false);
            link.up.clear();
            link.down.truncate(self.random.index(link.down.len() + 1));
            if link.client_open {
                link.down.push_back(Down::End);
            }
        }
        self.sweep();
        Ok(())
    }

    /// A session that nobody is there for leaves memory, when all of it is saved.
    fn park(&mut self) -> Held {
        let may = |host: &Host| {
            !host.session.is_attached() && host.session.unfinished_jobs().next().is_none() && host.deferred.is_empty()
        };
        let idle: Vec<usize> = self.loaded().into_iter().filter(|&at| may(&self.hosts[at])).collect();
        if idle.is_empty() {
            return Ok(());
        }
        let host = *self.random.pick(&idle);
        self.note(|| format!("session {host} is parked"));
        self.turn(host, vec![In::Park], false)?;
        self.write_some(host)?;
        if self.hosts[host].session.is_sealed() {
            self.hosts[host].unload();
        }
        Ok(())
    }

    fn write_some(&mut self, host: usize) -> Held {
        for _ in 0..WRITES_TRIED {
            self.write_one(host)?;
        }
        Ok(())
    }

    /// Another server has claimed a session: what this one has not saved by then is refused.
    fn fence(&mut self) -> Held {
        let loaded = self.loaded();
        if loaded.is_empty() {
            return Ok(());
        }
        let host = *self.random.pick(&loaded);
        self.note(|| format!("session {host} is claimed by another server"));
        self.hosts[host].disk.as_mut().expect("it keeps records").crash(&mut self.random);
        self.turn(host, vec![In::Fenced], false)?;
        self.hosts[host].unload();
        Ok(())
    }

    /// The last of a server that goes in order: all is sealed, if the store lets it, and told.
    pub(crate) fn freeze(&mut self) -> Held {
        for host in self.loaded() {
            self.hosts[host].is_frozen = true;
            self.turn(host, vec![In::Freeze], false)?;
            self.write_some(host)?;
            self.turn(host, vec![In::Timer], false)?;
            let host = &mut self.hosts[host];
            host.disk.as_mut().expect("it keeps records").crash(&mut self.random);
            host.unload();
        }
        for link in self.links.values_mut().filter(|link| link.server_open && link.host.is_some()) {
            link.end(CloseCode::Draining.into());
        }
        Ok(())
    }

    /// Loads the session that a hello names, if it was stored.
    pub(crate) fn wake_named(&mut self, hello: &Hello) -> Held {
        let named = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        let sleeps = |host: &Host| host.gone && named.is_some_and(|token| token.session == host.session.id());
        match self.hosts.iter().position(sleeps) {
            Some(host) => self.wake(host),
            None => Ok(()),
        }
    }

    fn wake(&mut self, host: usize) -> Held {
        if self.hosts[host].disk.as_ref().is_none_or(|disk| disk.stored().is_none()) {
            return Ok(());
        }
        let reused = self.planted.is(Plant::ReuseEpoch);
        let epoch = if reused { self.hosts[host].epoch } else { self.next_epoch() };
        let saves = self.save_options().expect("it keeps records");
        self.note(|| format!("session {host} is loaded in epoch {epoch}"));
        self.hosts[host].load(epoch, saves, self.now)
    }

    pub(crate) fn wake_all(&mut self) -> Held {
        for host in 0..self.hosts.len() {
            if self.hosts[host].gone {
                self.wake(host)?;
            }
        }
        for host in self.loaded() {
            self.turn(host, vec![In::Timer], false)?;
            self.write_all(host)?;
        }
        Ok(())
    }

    /// RESUME: who was welcomed by a session that was stored is known to it.
    pub(crate) fn check_known(&self, page: usize, hello: &Hello) -> Held {
        let named = hello.token.as_deref().and_then(|token| token.parse::<Token>().ok());
        let host = self.hosts.iter().find(|host| named.is_some_and(|token| token.session == host.session.id()));
        let lasts = host.is_some_and(|host| host.disk.is_some() && !host.never_was);
        // A copy may come with a token that the tab has replaced, and a crowd has members who had to go.
        if lasts && self.pages[page].welcomed && !self.faults.duplicates && !self.faults.crowd {
            return broken("RESUME", format!("the session does not know page {page} any more"));
        }
        Ok(())
    }
}

/// As many records as a session may have under way, and one that is asked for when those are answered.
const WRITES_TRIED: usize = 3;
