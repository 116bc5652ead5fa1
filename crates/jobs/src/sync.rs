//! The locks and atomics of this crate: the standard ones, or loom's when the races are model-checked.
//!
//! `cargo xtask loom` builds with `--cfg loom`; then every step on one of these is a place where loom tries what the
//! other threads could do.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
