//! Whose a connection is: the address behind the proxies that are trusted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::HeaderMap;

use crate::App;
use crate::program::{State, View};

/// Somebody's address as limits count it: one of IPv4, or a /64 of IPv6, which is what a household gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Address {
    V4(Ipv4Addr),
    V6([u8; 8]),
    /// All those for whom there was no room in the table.
    Others,
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A range of addresses, as `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    pub(crate) network: IpAddr,
    bits: u32,
}

impl Cidr {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no range of addresses; write 10.0.0.0/8 or fd00::/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            // No sign, no space, and nothing beyond the address.
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
            None => most,
        };
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`, and is compared as that.
        match (address.to_canonical(), bits) {
            (network @ IpAddr::V4(_), bits) if address.is_ipv6() && bits >= 96 => Ok(Self { network, bits: bits - 96 }),
            // A shorter one would hold addresses of both kinds, or neither.
            (IpAddr::V4(_), _) if address.is_ipv6() => Err(wrong()),
            _ => Ok(Self { network: address, bits }),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

/// Who a request comes from; none for a peer on loopback where no proxy is trusted, which has no limits of an address.
///
/// `peer` is whom the connection is with. Beginning there, and then from the right through `X-Forwarded-For`, an address
/// is believed when a trusted proxy has written it: the client is the first one that is none itself.
pub(crate) fn of_request(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> Option<Address> {
    let peer = peer.to_canonical();
    if trusted.is_empty() {
        return (!peer.is_loopback()).then(|| peer.into());
    }
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer;
    let written = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let mut before = written.flat_map(|value| value.split(',')).collect::<Vec<_>>().into_iter().rev();
    while is_trusted(client) {
        // What a proxy writes is an address; whoever wrote something else is not to be believed, and nor is what is before.
        match before.next().and_then(forwarded) {
            Some(address) => client = address,
            None => break,
        }
    }
    Some(client.into())
}

/// Who has connected, before there is a request; none for a trusted proxy, whose connections are many people's.
pub(crate) fn of_peer(peer: IpAddr, trusted: &[Cidr]) -> Option<Address> {
    let peer = peer.to_canonical();
    let is_free =
        if trusted.is_empty() { peer.is_loopback() } else { trusted.iter().any(|range| range.contains(peer)) };
    (!is_free).then(|| peer.into())
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn forwarded(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.or_else(with_port).map(|address| address.to_canonical())
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Proxies whose `X-Forwarded-For` is believed, as ranges of addresses; none by default.
    ///
    /// The client is then the rightmost address that is not theirs, and the limits of an address count it. Name only
    /// proxies that append whom they were asked by; without this setting the header is ignored.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// let app = App::new(Shop::default).trusted_proxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"]);
    /// # let _ = app;
    /// ```
    ///
    /// # Errors
    ///
    /// [`App::build`] gives them: what is no range of addresses.
    pub fn trusted_proxies<'a>(mut self, ranges: impl IntoIterator<Item = &'a str>) -> Self {
        for range in ranges {
            match range.parse() {
                Ok(range) => self.options.trusted.push(range),
                Err(problem) => self.problems.push(format!("`trusted_proxies`: {problem}")),
            }
        }
        self
    }
}

pub(crate) const FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Option<Address> {
        let headers =
            forwarded.iter().map(|value| (http::HeaderName::from_static(FORWARDED_FOR), value.parse().unwrap()));
        let trusted: Vec<_> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        of_request(ip(peer), &headers.collect(), &trusted)
    }

    #[test]
    fn a_range_holds_what_begins_as_it_does() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("10.1.2.3/8", "10.0.0.1", "9.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert!(range.contains(ip(inside)) && !range.contains(ip(outside)), "{range}");
        }
        let mapped: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(mapped.contains(ip("::ffff:10.1.1.1")));
        for wrong in [
            "",
            "10.0.0.0/33",
            "::ffff:10.0.0.0/0",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "localhost",
            " ::1",
        ] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        let v4 = |text: &str| Some(Address::from(ip(text)));
        let proxies = &["10.0.0.0/8", "127.0.0.1"][..];
        for (peer, forwarded, expected) in [
            ("10.0.0.1", &["203.0.113.9"][..], v4("203.0.113.9")),
            // What the client has written itself stands further left.
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], v4("203.0.113.9")),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.7"], v4("203.0.113.9")),
            ("127.0.0.1", &["203.0.113.9:4711"], v4("203.0.113.9")),
            ("10.0.0.1", &["[2001:db8::1]:80"], Some(Address::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]))),
            ("10.0.0.1", &["::ffff:203.0.113.9"], v4("203.0.113.9")),
            // One that is not trusted may write what it likes.
            ("203.0.113.5", &["1.1.1.1"], v4("203.0.113.5")),
            // Nothing, or no address: it is the last one that is known.
            ("10.0.0.1", &[], v4("10.0.0.1")),
            ("10.0.0.1", &["1.1.1.1, unknown"], v4("10.0.0.1")),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], v4("10.0.0.2")),
            ("10.0.0.1", &[""], v4("10.0.0.1")),
        ] {
            assert_eq!(client(peer, forwarded, proxies), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client("127.0.0.1", &["203.0.113.9"], &[]), None, "on loopback there are no addresses to limit");
        assert_eq!(client("::1", &[], &[]), None);
        assert_eq!(client("203.0.113.5", &["1.1.1.1"], &[]), v4("203.0.113.5"), "and the header is ignored");
    }

    #[test]
    fn addresses_of_one_household_are_one() {
        assert_eq!(Address::from(ip("2001:db8::1")), Address::from(ip("2001:db8::ffff:1")));
        assert_ne!(Address::from(ip("2001:db8::1")), Address::from(ip("2001:db8:0:1::1")));
        assert_eq!(Address::from(ip("::ffff:192.0.2.1")), Address::from(ip("192.0.2.1")));
    }

    #[test]
    fn a_trusted_proxy_has_no_limit_at_accept_and_everybody_else_does() {
        let proxies = ["127.0.0.1".parse().unwrap()];
        assert_eq!(of_peer(ip("127.0.0.1"), &proxies), None);
        assert!(of_peer(ip("127.0.0.2"), &proxies).is_some());
        assert_eq!(of_peer(ip("127.0.0.2"), &[]), None);
        assert!(of_peer(ip("203.0.113.5"), &[]).is_some());
    }
}
