//! A diff allocates nothing in the steady state.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use serde::Serialize;
use windlass_sync::{HashKey, Shadow, SyncVec, Tracked};

/// The system's allocator, counting what this thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
#[allow(unsafe_code, reason = "counting allocations takes an allocator, and this one is only in a test")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Serialize)]
struct Row {
    id: u32,
    name: String,
    price: f64,
    done: bool,
}

#[derive(Serialize)]
struct State {
    text: String,
    plain: Vec<Row>,
    tracked: Vec<Tracked<Row>>,
    rows: SyncVec<Row>,
    address: std::net::Ipv4Addr,
}

#[test]
fn cells_and_appended_text_allocate_nothing() {
    let row = |id: u32| Row { id, name: format!("row number {id}"), price: 0.5, done: false };
    let mut state = State {
        text: "x".repeat(10_000),
        plain: (0..500).map(row).collect(),
        tracked: (0..500).map(|id| Tracked::new(row(id))).collect(),
        rows: (0..5000).map(row).collect(),
        address: std::net::Ipv4Addr::LOCALHOST,
    };
    state.text.reserve(1000);
    let mut shadow = Shadow::new(HashKey([1, 2]));
    let mut out = Vec::new();
    shadow.snapshot(&state, &mut out).expect("a snapshot");
    for round in 0..10 {
        state.text.push_str("token");
        state.plain[7].done = !state.plain[7].done;
        state.plain[8].price += 1.0;
        state.tracked[9].price += 1.0;
        state.rows[4000].price += 1.0;
        out.clear();
        let before = COUNT.get();
        shadow.diff(&state, &mut out).expect("a diff");
        let count = COUNT.get() - before;
        assert_eq!(String::from_utf8_lossy(&out).matches("],[").count(), 4);
        // The first rounds fill the thread's scratch.
        assert!(round < 2 || count == 0, "{count} allocations in round {round}");
    }
}
