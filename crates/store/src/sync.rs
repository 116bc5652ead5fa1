//! The lock and the bell of what is model-checked: `tests/models` compiles those files with loom's in this place.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
