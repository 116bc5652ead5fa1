//! What the fuzz targets call. No part of the API.

use crate::record::{seal, unsealed};

/// A record with that body, whatever it is, under a first line that is right.
#[must_use]
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let (mut out, start) = unsealed();
    out.extend_from_slice(body);
    seal(&mut out, start);
    out
}
