//! What tests over the whole of Windlass share: the fuzz targets. `bin/` holds servers that tests run, and the loop that
//! drives the targets.
//!
//! `tests/architecture/` holds the rules that a program can check; `world/` and `browser/` have
//! their own headers.

pub mod fuzz;
