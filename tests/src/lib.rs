//! Tests over the whole of Windlass; the library itself is empty, and `bin/` holds servers that tests run.
//!
//! `tests/architecture/` holds the rules that a program can check; `world/` and `browser/` have
//! their own headers.
