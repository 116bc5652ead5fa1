//! Worker pools for long callbacks: cancellation, progress, periods, and exactly one end.
#![warn(missing_docs)]
