//! The WebSocket handshake, and who may begin one.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, SET_COOKIE, UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use windlass_protocol::{Close, CloseCode, Dialect};

use crate::address;
use crate::guest::{self, Guest, Identity, Per};
use crate::hub::{BUSY_RETRY, Hub, HubOptions};
use crate::nested::Mount;
use crate::program::State;
use crate::server::OpenConnection;
use crate::{Error, connection};

/// Answers the request for a socket, and serves it when the connection is upgraded.
pub(crate) fn upgrade<S: State>(hub: &Arc<Hub<S>>, mut request: Request) -> Response {
    let headers = request.headers();
    if let Err(text) = check_origin(headers, &hub.options) {
        hub.counters.origins.add();
        return plain(StatusCode::FORBIDDEN, text);
    }
    let names = |name, token: &str| {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| lists(value, token))
    };
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if request.method() != Method::GET || !names(UPGRADE, "websocket") || !names(CONNECTION, "upgrade") || !version {
        return plain(StatusCode::UPGRADE_REQUIRED, "a WebSocket of version 13 lives here\n");
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return plain(StatusCode::BAD_REQUEST, "a WebSocket handshake has a key\n");
    };
    let offered = offered(headers);
    let Some(dialect) = offered.or(hub.options.echoes.then(Dialect::default)) else {
        let text = "offer the subprotocol windlass.v1 or windlass.v1.json-patch\n";
        return plain(StatusCode::BAD_REQUEST, text);
    };
    let accept = derive_accept_key(key.as_bytes());
    if hub.closing.is_cancelled() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the server goes down\n");
    }
    let (cookie, browser) = match hub.doors.per {
        Per::Browser => match hub.doors.cookies.known(headers) {
            Some(known) => (None, Some(known)),
            None => {
                let path = Mount::of(&request).cookie_path();
                let (cookie, hash) = hub.doors.cookies.make(headers, &path, &hub.options.allowed_origins);
                (Some(cookie), Some(hash))
            }
        },
        Per::Tab | Per::User => (None, None),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let task = Arc::clone(hub);
    hub.tasks.spawn(async move {
        // Boxed: its room would stay in this task, which lives as long as the connection.
        let guest = Box::pin(guest(&task, &parts, browser)).await;
        drop(parts);
        // A peer that left between its request and the answer: nothing exists yet.
        if let Ok(upgraded) = upgrade.await {
            connection::serve(task, dialect, upgraded, guest).await;
        }
    });
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("these headers are valid");
    if offered.is_some() {
        // A client that has offered none must not be given one.
        let subprotocol = HeaderValue::from_static(dialect.subprotocol());
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Who connects.
///
/// # Errors
///
/// The close of those who are turned away: one of an address that has opened too many sockets, and one whom the app
/// does not let in.
async fn guest<S: State>(hub: &Hub<S>, parts: &Parts, browser: Option<[u8; 32]>) -> Result<Guest, Close> {
    let open = parts.extensions.get::<Arc<OpenConnection>>().cloned();
    // Nested in a router of somebody's, the peer is known where that router tells.
    let told = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let peer = open.as_ref().map(|open| open.peer).or(told);
    let address = peer.and_then(|peer| address::of_request(peer.ip(), &parts.headers, &hub.options.trusted));
    let quota = address.map(|address| hub.quotas.of(address));
    if quota.as_ref().is_some_and(|quota| !quota.take_socket()) {
        hub.counters.address_sockets.add();
        return Err(Close { retry_after: Some(BUSY_RETRY), ..Close::new(CloseCode::Busy) });
    }
    let guest = Guest { browser, address, quota, open, ..Guest::default() };
    let Some(authenticate) = &hub.doors.authenticate else { return Ok(guest) };
    let asked = windlass_engine::guard(|| authenticate(parts)).map_err(Error::internal);
    let answer = match asked {
        Ok(asking) => guest::ask(asking).await,
        Err(error) => Err(error),
    };
    match answer.map(|identity| identity.map(Identity::into_parts)) {
        Ok(None) => Ok(guest),
        Ok(Some((subject, expires))) => Ok(Guest { identity: Some(subject), expires, ..guest }),
        Err(error) => {
            if error.is_internal() {
                tracing::warn!(%error, "a page was turned away: nobody could say who it is");
            }
            hub.counters.logins.add();
            Err(Close::new(CloseCode::Login))
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// The first dialect of those that the client offers, in its order, that there is.
fn offered(headers: &HeaderMap) -> Option<Dialect> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|name| Dialect::of_subprotocol(name.trim()))
}

fn lists(value: &str, token: &str) -> bool {
    value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The origin of a request that may change something: a page's own server, or a declared one.
///
/// # Errors
///
/// What is said to others.
pub(crate) fn check_origin(headers: &HeaderMap, options: &HubOptions) -> Result<(), &'static str> {
    if options.require_origin && !headers.contains_key(ORIGIN) {
        return Err("this app is for pages, whose requests have an Origin\n");
    }
    if origin_is_allowed(headers, &options.allowed_origins) {
        Ok(())
    } else {
        Err("this origin may not connect; declare it with `App::allowed_origin` or `App::public_url`\n")
    }
}

/// Whether the page that asks is this server's own or a declared one.
///
/// A request without an origin comes from no page. Host and port must match; the scheme may differ, since a
/// proxy may have taken TLS away.
pub(crate) fn origin_is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
    if allowed.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return false,
    };
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let (name, port) = split_port(authority);
    let (host_name, host_port) = split_port(host);
    // Behind a proxy that ends TLS the host has no port, and means the one of the scheme that the page used.
    name.eq_ignore_ascii_case(host_name) && port.unwrap_or(default_port) == host_port.unwrap_or(default_port)
}

/// A host name and the port behind it, also for `[::1]:80`.
pub(crate) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            (name, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers.insert(HOST, host.parse().unwrap());
        origin_is_allowed(&headers, &["https://app.example".to_owned()])
    }

    #[test]
    fn the_client_chooses_among_the_dialects_that_there_are() {
        let chosen = |offers: &[&str]| {
            let mut headers = HeaderMap::new();
            for offer in offers {
                headers.append(SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap());
            }
            offered(&headers).map(Dialect::subprotocol)
        };
        assert_eq!(chosen(&["windlass.v1"]), Some("windlass.v1"));
        assert_eq!(chosen(&["windlass.v2, windlass.v1.json-patch,windlass.v1"]), Some("windlass.v1.json-patch"));
        assert_eq!(chosen(&["chat", "windlass.v1"]), Some("windlass.v1"));
        for none in [&[][..], &[""], &["windlass"], &["Windlass.V1"], &["windlass.v2"]] {
            assert_eq!(chosen(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_page_of_this_server_or_a_declared_one_may_connect() {
        for (origin, host) in [
            (None, "127.0.0.1:8080"),
            (Some("http://127.0.0.1:8080"), "127.0.0.1:8080"),
            (Some("http://[::1]:8080"), "[::1]:8080"),
            (Some("https://example.org"), "example.org"),
            (Some("https://example.org"), "example.org:443"),
            (Some("https://app.example"), "10.0.0.1:80"),
            (Some("http://LOCALHOST:1"), "localhost:1"),
        ] {
            assert!(allowed(origin, host), "{origin:?} {host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_not() {
        for (origin, host) in [
            ("null", "127.0.0.1:8080"),
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("http://evil.example:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080.evil.example", "127.0.0.1:8080"),
            ("http://evil.example", "example.org"),
            ("file://127.0.0.1:8080", "127.0.0.1:8080"),
            ("", "127.0.0.1:8080"),
        ] {
            assert!(!allowed(Some(origin), host), "{origin} {host}");
        }
    }
}
