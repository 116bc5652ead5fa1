//! Which sessions are in memory: id → session, or that it is being loaded.
//!
//! Hands out `Arc`s, never guards. Of many who ask for a session that is not there one loads it and the others wait.
//! A session that has gone is taken out by comparing the `Arc`, so that nobody takes out its successor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dashmap::{DashMap, Entry};
use windlass_protocol::SessionId;

use crate::lock;

/// The sessions in memory, at most so many.
pub(crate) struct Registry<C> {
    places: DashMap<SessionId, Place<C>>,
    /// Sessions that are there or being loaded. Counted beside the map, so that the bound is exact.
    taken: AtomicUsize,
    max: usize,
}

enum Place<C> {
    Live(Arc<C>),
    Loading(Arc<Loading>),
}

/// Somebody loads a session.
#[derive(Default)]
struct Loading {
    is_over: Mutex<bool>,
    bell: Condvar,
}

impl Loading {
    fn wait(&self) {
        let mut is_over = lock(&self.is_over);
        while !*is_over {
            is_over = self.bell.wait(is_over).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// There is no room for another session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<C> Registry<C> {
    pub(crate) fn new(max: usize) -> Self {
        Self { places: DashMap::new(), taken: AtomicUsize::new(0), max }
    }

    /// The session, if it is in memory.
    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<C>> {
        match &*self.places.get(&id)? {
            Place::Live(cell) => Some(Arc::clone(cell)),
            Place::Loading(_) => None,
        }
    }

    /// The session, if it is in memory; else what `load` comes to, which runs once whoever asks meanwhile. Blocks while
    /// another thread loads.
    pub(crate) fn open<E: From<Full>>(
        &self,
        id: SessionId,
        load: impl FnOnce() -> Result<Option<Arc<C>>, E>,
    ) -> Result<Option<Arc<C>>, E> {
        loop {
            let waits_for = match self.places.entry(id) {
                Entry::Occupied(place) => match place.get() {
                    Place::Live(cell) => return Ok(Some(Arc::clone(cell))),
                    Place::Loading(loading) => Arc::clone(loading),
                },
                Entry::Vacant(place) => {
                    self.take_seat()?;
                    let loading = Arc::default();
                    place.insert(Place::Loading(Arc::clone(&loading)));
                    let flight = Flight { registry: self, id, loading };
                    let loaded = load();
                    flight.land(loaded.as_ref().ok().and_then(Option::as_ref));
                    return loaded;
                }
            };
            waits_for.wait();
        }
    }

    fn take_seat(&self) -> Result<(), Full> {
        let seated = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, seated).map(drop).map_err(|_| Full)
    }

    /// Takes out this very session. False when it was not there, or another has its place.
    pub(crate) fn remove(&self, id: SessionId, cell: &Arc<C>) -> bool {
        let is_it = |_: &SessionId, place: &Place<C>| matches!(place, Place::Live(known) if Arc::ptr_eq(known, cell));
        let removed = self.places.remove_if(&id, is_it).is_some();
        if removed {
            self.taken.fetch_sub(1, Ordering::AcqRel);
        }
        removed
    }

    /// Those that are in memory.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        let live = self.places.iter().filter_map(|place| match place.value() {
            Place::Live(cell) => Some(Arc::clone(cell)),
            Place::Loading(_) => None,
        });
        live.collect()
    }

    /// How many there are, with those that are being loaded.
    pub(crate) fn len(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

/// One who loads; whatever becomes of that, by a panic as well, those who wait go on.
struct Flight<'r, C> {
    registry: &'r Registry<C>,
    id: SessionId,
    loading: Arc<Loading>,
}

impl<C> Flight<'_, C> {
    fn land(self, cell: Option<&Arc<C>>) {
        if let Some(cell) = cell {
            self.registry.places.insert(self.id, Place::Live(Arc::clone(cell)));
        }
    }
}

impl<C> Drop for Flight<'_, C> {
    fn drop(&mut self) {
        let is_loading = |_: &SessionId, place: &Place<C>| matches!(place, Place::Loading(_));
        if self.registry.places.remove_if(&self.id, is_loading).is_some() {
            self.registry.taken.fetch_sub(1, Ordering::AcqRel);
        }
        *lock(&self.loading.is_over) = true;
        self.loading.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId([7; 12]);

    impl From<Full> for &'static str {
        fn from(_: Full) -> Self {
            "full"
        }
    }

    #[test]
    fn of_many_who_ask_one_loads() {
        let (registry, loads) = (Registry::new(1), AtomicUsize::new(0));
        let start = std::sync::Barrier::new(8);
        let cells: Vec<Arc<u8>> = std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                let load = || {
                    Ok::<_, &'static str>(Some(Arc::new(u8::try_from(loads.fetch_add(1, Ordering::SeqCst)).unwrap())))
                };
                registry.open(ID, load).unwrap().unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert!(cells.iter().all(|cell| Arc::ptr_eq(cell, &cells[0])));
    }

    /// BOUNDED. Hellos that came together were counted before any of them was there, and all got in.
    #[test]
    fn no_more_get_in_than_there_are_seats_and_who_leaves_makes_room() {
        let registry = Registry::new(3);
        let open = |n: u8| registry.open(SessionId([n; 12]), || Ok::<_, &'static str>(Some(Arc::new(n))));
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (open, inside) = (&open, &inside);
                scope.spawn(move || {
                    if open(n).is_ok() {
                        inside.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((inside.load(Ordering::SeqCst), registry.len()), (3, 3));
        let first = registry.all().remove(0);
        assert!(registry.remove(SessionId([*first; 12]), &first));
        assert!(!registry.remove(SessionId([*first; 12]), &first), "once");
        assert!(open(99).is_ok());
        assert_eq!(open(100), Err("full"));
    }

    #[test]
    fn a_load_that_fails_leaves_nothing_behind() {
        let registry: Registry<u8> = Registry::new(1);
        assert_eq!(registry.open(ID, || Err("no disk")), Err("no disk"));
        assert_eq!(registry.open(ID, || Ok::<_, &'static str>(None)), Ok(None));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = registry.open::<&'static str>(ID, || panic!("no luck"));
        }));
        assert!(panicked.is_err());
        assert_eq!((registry.len(), registry.find(ID)), (0, None));
        let cell = registry.open(ID, || Ok::<_, &'static str>(Some(Arc::new(1)))).unwrap().unwrap();
        let successor = Arc::new(2);
        assert!(!registry.remove(ID, &successor), "another has its place");
        assert!(registry.remove(ID, &cell));
    }
}
