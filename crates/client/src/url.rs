//! Where the socket of a server is.

use tokio_tungstenite::tungstenite::http::Uri;

use crate::ConnectError;

/// A server's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketUrl {
    /// Host and port, to connect to.
    pub(crate) address: String,
    /// The whole, for the handshake.
    pub(crate) url: String,
}

impl SocketUrl {
    /// From what a person writes: the address of the page (`http://host/app/`) or of the socket (`ws://…/windlass/socket`).
    pub(crate) fn read(text: &str) -> Result<Self, ConnectError> {
        let wrong = |reason: &str| ConnectError::Url { url: text.to_owned(), reason: reason.to_owned() };
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("{error}; write http://host:port")))?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => return Err(wrong("this client does not speak TLS; use http or ws")),
            _ => return Err(wrong("it begins with neither http:// nor ws://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a name or password before the host is not sent; leave it out"));
        }
        let port = uri.port_u16().unwrap_or(80);
        let path = uri.path();
        let path = if path.ends_with(SOCKET) {
            path.to_owned()
        } else {
            // Beside the page, as the web client finds it.
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}{SOCKET}")
        };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            address: format!("{}:{port}", authority.host()),
            url: format!("ws://{}{path}{query}", authority.as_str()),
        })
    }

    /// The same with the route of a close `elsewhere`.
    pub(crate) fn routed(&self, route: Option<&str>) -> String {
        let Some(route) = route else { return self.url.clone() };
        let joint = if self.url.contains('?') { '&' } else { '?' };
        let escaped: String = route
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        format!("{}{joint}route={escaped}", self.url)
    }
}

const SOCKET: &str = "/windlass/socket";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_beside_the_page() {
        for (text, address, url) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "ws://127.0.0.1:8080/windlass/socket"),
            ("http://localhost/", "localhost:80", "ws://localhost/windlass/socket"),
            ("http://h:1/app/", "h:1", "ws://h:1/app/windlass/socket"),
            ("http://h:1/app/index.html", "h:1", "ws://h:1/app/windlass/socket"),
            ("ws://h:1/app/windlass/socket", "h:1", "ws://h:1/app/windlass/socket"),
            ("ws://[::1]:9/?x=1", "[::1]:9", "ws://[::1]:9/windlass/socket?x=1"),
        ] {
            let expected = SocketUrl { address: address.to_owned(), url: url.to_owned() };
            assert_eq!(SocketUrl::read(text), Ok(expected), "{text}");
        }
        let socket = SocketUrl::read("http://h:1").unwrap();
        assert_eq!(socket.routed(Some("a b")), "ws://h:1/windlass/socket?route=a%20b");
    }

    #[test]
    fn what_is_no_address_is_named_with_the_way_out() {
        for (text, part) in
            [("localhost:8080", "neither http"), ("https://h", "TLS"), ("http://", ""), ("http://u:p@h", "password")]
        {
            let error = SocketUrl::read(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }
}
