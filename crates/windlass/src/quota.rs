//! What each address has taken of what it may: connections without a request, sockets, sessions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::address::Address;
use crate::limits::Limits;
use crate::lock;

/// The addresses that have something, or had it a moment ago.
#[derive(Debug)]
pub(crate) struct Quotas {
    table: DashMap<Address, Arc<Quota>>,
    limits: Limits,
    /// How many addresses there may be before those that have nothing are taken out.
    sweep_at: AtomicUsize,
    swept: Mutex<Option<Instant>>,
}

impl Quotas {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { table: DashMap::new(), limits, sweep_at: AtomicUsize::new(SWEEP_FIRST), swept: Mutex::default() }
    }

    /// That address's.
    pub(crate) fn of(&self, address: Address) -> Arc<Quota> {
        if let Some(known) = self.table.get(&address) {
            return Arc::clone(&known);
        }
        if self.is_to_be_swept() {
            let now = Instant::now();
            self.table.retain(|_, quota| Arc::strong_count(quota) > 1 || !quota.is_full(now));
            self.sweep_at.store((self.table.len() * 2).clamp(SWEEP_FIRST, ADDRESSES_MAX), Ordering::Relaxed);
        }
        let address = if self.table.len() < ADDRESSES_MAX { address } else { Address::Others };
        Arc::clone(&self.table.entry(address).or_insert_with(|| Arc::new(Quota::new(self.limits))))
    }
}

impl Quotas {
    /// Rarely: a table that is full of addresses that have something is not gone through for each one more.
    fn is_to_be_swept(&self) -> bool {
        if self.table.len() < self.sweep_at.load(Ordering::Relaxed) {
            return false;
        }
        let (mut swept, now) = (lock(&self.swept), Instant::now());
        let is_time = self.table.len() < ADDRESSES_MAX || swept.is_none_or(|at| now >= at + SWEEP_EVERY);
        if is_time {
            *swept = Some(now);
        }
        is_time
    }
}

/// One address's.
#[derive(Debug)]
pub(crate) struct Quota {
    limits: Limits,
    sockets: Mutex<Bucket>,
    handshakes: AtomicUsize,
    sessions: AtomicUsize,
}

/// Sockets that may be opened.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Quota {
    fn new(limits: Limits) -> Self {
        let bucket = Bucket { left: f64::from(limits.address_sockets_reserve), at: Instant::now() };
        Self { limits, sockets: Mutex::new(bucket), handshakes: AtomicUsize::new(0), sessions: AtomicUsize::new(0) }
    }

    /// Takes a socket; false when there is none left.
    pub(crate) fn take_socket(&self) -> bool {
        let mut bucket = lock(&self.sockets);
        self.refill(&mut bucket, Instant::now());
        let is_left = bucket.left >= 1.0;
        if is_left {
            bucket.left -= 1.0;
        }
        is_left
    }

    /// It led to a session of its own: it was none that counts.
    pub(crate) fn give_socket_back(&self) {
        let mut bucket = lock(&self.sockets);
        bucket.left = (bucket.left + 1.0).min(f64::from(self.limits.address_sockets_reserve));
    }

    /// A place for a connection without a request.
    pub(crate) fn handshake(self: &Arc<Self>) -> Option<Place> {
        Place::take(self, |quota| &quota.handshakes, self.limits.address_handshakes_max)
    }

    /// A place for a session.
    pub(crate) fn session(self: &Arc<Self>) -> Option<Place> {
        Place::take(self, |quota| &quota.sessions, self.limits.address_sessions_max)
    }

    fn is_full(&self, now: Instant) -> bool {
        let mut bucket = lock(&self.sockets);
        self.refill(&mut bucket, now);
        bucket.left >= f64::from(self.limits.address_sockets_reserve)
    }

    fn refill(&self, bucket: &mut Bucket, now: Instant) {
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        let more = seconds * f64::from(self.limits.address_sockets_per_second);
        *bucket = Bucket { left: (bucket.left + more).min(f64::from(self.limits.address_sockets_reserve)), at: now };
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Arc<Quota>,
    of: fn(&Quota) -> &AtomicUsize,
}

impl Place {
    fn take(quota: &Arc<Quota>, of: fn(&Quota) -> &AtomicUsize, most: usize) -> Option<Self> {
        let more = |taken| (taken < most).then_some(taken + 1);
        of(quota).fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self { quota: Arc::clone(quota), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.of)(&self.quota).fetch_sub(1, Ordering::AcqRel);
    }
}

const SWEEP_FIRST: usize = 1_024;
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// More would be memory that strangers fill; what is beyond shares one quota.
const ADDRESSES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> Address {
        Address::V4(Ipv4Addr::from_bits(n))
    }

    fn limits() -> Limits {
        Limits {
            address_sockets_per_second: 2,
            address_sockets_reserve: 3,
            address_handshakes_max: 2,
            ..Limits::default()
        }
    }

    /// BOUNDED
    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_reserve_and_then_its_rate() {
        let quotas = Quotas::new(limits());
        let take = || quotas.of(address(1)).take_socket();
        assert_eq!([take(), take(), take(), take()], [true, true, true, false]);
        assert!(quotas.of(address(2)).take_socket(), "another address has its own");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!([take(), take()], [true, false]);
        quotas.of(address(1)).give_socket_back();
        assert!(take(), "one that returned to its session takes none");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!([take(), take(), take(), take()], [true, true, true, false], "no more than the reserve");
    }

    /// BOUNDED
    #[tokio::test]
    async fn a_place_is_taken_until_it_is_left() {
        let quotas = Quotas::new(limits());
        let first = quotas.of(address(1)).handshake();
        let _second = quotas.of(address(1)).handshake().unwrap();
        assert!(first.is_some() && quotas.of(address(1)).handshake().is_none());
        drop(first);
        assert!(quotas.of(address(1)).handshake().is_some());
    }

    /// BOUNDED
    #[tokio::test(start_paused = true)]
    async fn addresses_that_have_nothing_are_forgotten_and_too_many_share_one() {
        let quotas = Quotas::new(limits());
        let held = quotas.of(address(0));
        let _place = held.session().unwrap();
        for n in 1..100_000 {
            quotas.of(address(n));
        }
        assert!(quotas.table.len() < 3_000, "{}", quotas.table.len());
        assert!(Arc::ptr_eq(&held, &quotas.of(address(0))), "who has something is kept");
        for n in 1..=70_000 {
            quotas.of(address(n)).take_socket();
        }
        assert!(quotas.table.len() <= ADDRESSES_MAX + 1, "{}", quotas.table.len());
        assert!(Arc::ptr_eq(&quotas.of(address(200_000)), &quotas.of(address(200_001))));
    }
}
