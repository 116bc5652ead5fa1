//! What the fuzz targets call: everything that reads what strangers write, beside the protocol. No part of the API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use sha2::{Digest as _, Sha256};

use crate::address::{Cidr, FORWARDED_FOR, of_peer, of_request};
use crate::guest::Cookies;
use crate::page::file_path;
use crate::upgrade::origin_is_allowed;

/// Ranges of proxies, and what they and others write into `X-Forwarded-For`.
pub fn address(ranges: &str, forwarded: &[u8]) {
    let ranges: Vec<Cidr> = ranges.lines().take(8).filter_map(|range| range.parse().ok()).collect();
    let headers = header(FORWARDED_FOR.parse().expect("it is a name"), forwarded);
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    for peer in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), stranger] {
        let (address, is_free) = (of_request(peer, &headers, &ranges), of_peer(peer, &ranges).is_none());
        // A peer that is not trusted is itself, whatever it writes.
        assert!(is_free || address == Some(peer.into()), "{peer} {ranges:?} {headers:?}");
        assert_eq!(address.is_none(), ranges.is_empty() && peer.is_loopback());
    }
    for range in &ranges {
        assert_eq!(range.to_string().parse(), Ok(*range));
        assert!(range.contains(range.network));
    }
}

/// The path of a request for a file.
pub fn path(path: &str) {
    let Some(file) = file_path(path) else { return };
    let steps: Vec<_> = file.split('/').collect();
    assert!(steps.iter().all(|step| !step.is_empty() && !step.starts_with('.')), "{path:?} is {file:?}");
    assert!(!file.contains(['\\', '\0', ':']) && !file.starts_with('/'), "{path:?} is {file:?}");
    assert!(std::path::Path::new("/root").join(&file).starts_with("/root"), "{path:?} is {file:?}");
}

/// The cookies of a request: none that was not made here is one.
pub fn cookies(cookies: &[u8]) {
    // A key for each: a fuzzer that watches comparisons would learn the seals of a fixed one.
    let key = Sha256::digest(cookies).into();
    let known = Cookies::new(key).known(&header(COOKIE, cookies));
    assert_eq!(known, None, "{cookies:?}");
}

/// The origin and the host of a request.
pub fn origin(origin: &[u8], host: &[u8]) {
    let mut headers = header(ORIGIN, origin);
    headers.extend(header(HOST, host));
    let allowed = origin_is_allowed(&headers, &[]);
    let text = headers.get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
    // What is let in without a declaration names this very host.
    if let (true, Some(origin)) = (allowed, text) {
        let host = String::from_utf8_lossy(headers[HOST].as_bytes()).to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(&*host, |(name, _)| name).to_owned();
        assert!(origin.to_ascii_lowercase().contains(&name), "{origin:?} {host:?}");
        assert!(origin != "null");
    }
}

/// A header of each line that can be one.
fn header(name: HeaderName, lines: &[u8]) -> HeaderMap {
    let values = lines.split(|byte| *byte == b'\n').take(8).filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}
