//! The atomics of what is model-checked: `tests/models` compiles those files with loom's in this place.

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
