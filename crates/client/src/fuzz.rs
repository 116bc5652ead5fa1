//! What the fuzz targets call. No part of the API.

use crate::wire::{Ended, decode};

/// A message of a server, or the reason of a close: read, or refused.
pub fn server_message(text: &str) {
    let _ = decode(text);
    for number in [1000, 4400, 4429, 4500] {
        let _ = Ended::read(number, text);
    }
}
