//! Numbers that are never used twice in a process: ids and generations.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads take numbers in blocks: one counter for all would pass from core to core at every edit.
const BLOCK: u64 = 1 << 16;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

#[inline]
pub(crate) fn next() -> u64 {
    let mut number = NEXT.get();
    if number.is_multiple_of(BLOCK) {
        number = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK;
    }
    NEXT.set(number + 1);
    number
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn numbers_of_several_threads_never_meet() {
        let take = || (0..200_000).map(|_| super::next()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(take)).collect();
        let mut seen = HashSet::new();
        for thread in threads {
            for number in thread.join().expect("the thread only counts") {
                assert!(seen.insert(number));
            }
        }
    }
}
