//! The files of a page: from disk in development, out of the binary in release.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The folder of a page. Made by [`page!`](crate::page!).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// let page: windlass::Page = page!("src"); // a folder beside the crate's Cargo.toml
/// let app = App::new(Demo::default).page(page);
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct Page {
    #[doc(hidden)]
    pub folder: &'static str,
    #[doc(hidden)]
    pub embedded: fn(&str) -> Option<Cow<'static, [u8]>>,
}

/// The page in a folder beside the crate's `Cargo.toml`.
///
/// In a debug build the files are read from disk at each request, so that an edit shows after a reload; in a
/// release build they are inside the binary. Names that start with a dot are never served. A folder without a
/// `favicon.ico` answers 204 to those who ask for one, as browsers do by themselves.
///
/// ```no_run
/// # use windlass::prelude::*;
/// # #[derive(Clone, Default, Serialize)] struct Demo {}
/// # async fn f() -> Result {
/// App::new(Demo::default).page(page!("src")).serve("127.0.0.1:8080").await
/// # }
/// ```
#[macro_export]
macro_rules! page {
    ($folder:literal) => {{
        #[derive($crate::__private::RustEmbed)]
        #[crate_path = "windlass::__private::rust_embed"]
        #[folder = $folder]
        struct Files;
        $crate::Page {
            folder: concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder),
            embedded: |path| <Files as $crate::__private::RustEmbed>::get(path).map(|file| file.data),
        }
    }};
}

impl Page {
    /// Refuses a folder that holds what must not be served, or no page. `data` is where sessions are kept.
    pub(crate) fn check(&self, data: Option<&Path>) -> Result {
        if !FROM_DISK {
            return Ok(());
        }
        let folder = Path::new(self.folder);
        if !folder.is_dir() {
            return Err(Error::internal(format!("page!: there is no folder {}", folder.display())));
        }
        if folder.join("Cargo.toml").exists() {
            let text = "page!: the folder holds a Cargo.toml: give the page a folder of its own";
            return Err(Error::internal(text));
        }
        if let Some(data) = data.filter(|data| is_beneath(folder, data)) {
            let (page, data) = (folder.display(), data.display());
            let text = format!("page!: the folder {page} holds the `data_dir` {data}: keep the sessions elsewhere");
            return Err(Error::internal(text));
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Option<Cow<'static, [u8]>> {
        if FROM_DISK { read_beneath(Path::new(self.folder), path).map(Cow::Owned) } else { (self.embedded)(path) }
    }

    /// Answers a request for a file.
    pub(crate) fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        if method != Method::GET && method != Method::HEAD {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(path) = file_path(uri.path()) else { return status(StatusCode::NOT_FOUND) };
        match self.read(&path) {
            Some(data) => file(&path, data, method, headers),
            // Browsers ask for it by themselves when a page names no icon, and log an error when there is none.
            None if path == ICON => status(StatusCode::NO_CONTENT),
            None => status(StatusCode::NOT_FOUND),
        }
    }
}

/// Whether a folder, which may not be there yet, is the other one or in it, whatever links lead there.
fn is_beneath(folder: &Path, inner: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let Ok(inner) = std::path::absolute(inner) else { return false };
    // The nearest part of it that is there says where it will be.
    let there = inner.ancestors().find_map(|part| Some((part.canonicalize().ok()?, inner.strip_prefix(part).ok()?)));
    there.is_some_and(|(there, rest)| there.join(rest).starts_with(&folder))
}

const ICON: &str = "favicon.ico";

/// A debug build serves from disk.
const FROM_DISK: bool = cfg!(debug_assertions);

/// The path of a file beneath the root, from the path of a request; decoded once.
pub(crate) fn file_path(path: &str) -> Option<String> {
    let decoded = percent_decode(path)?;
    let relative = decoded.trim_start_matches('/');
    let is_folder = relative.is_empty() || relative.ends_with('/');
    let path = if is_folder { format!("{relative}index.html") } else { relative.to_owned() };
    let plain = path.split('/').all(|step| !step.is_empty() && !step.starts_with('.'));
    (plain && !path.contains(['\\', '\0', ':'])).then_some(path)
}

pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

/// Reads a regular file without following a link on the way.
fn read_beneath(root: &Path, path: &str) -> Option<Vec<u8>> {
    let mut full = PathBuf::from(root);
    for step in path.split('/') {
        full.push(step);
        if full.symlink_metadata().ok()?.file_type().is_symlink() {
            return None;
        }
    }
    full.is_file().then(|| std::fs::read(&full).ok()).flatten()
}

fn file(path: &str, data: Cow<'static, [u8]>, method: &Method, request: &HeaderMap) -> Response {
    let kind = content_type(path);
    let tag = format!("\"{}\"", hex(&Sha256::digest(&data)[..12]));
    let tag = HeaderValue::from_str(&tag).expect("hex digits in quotes are a header value");
    let mut response = status(StatusCode::OK);
    let known = request.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if method == Method::GET {
        *response.body_mut() = match data {
            Cow::Borrowed(data) => Body::from(data),
            Cow::Owned(data) => Body::from(data),
        };
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if kind.starts_with("text/html") {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    response
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "rs" | "md") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// The web client, compressed beforehand; its devtools only where the app has them.
pub(crate) fn client(path: &str, devtools: bool, method: &Method, request: &HeaderMap) -> Response {
    let served = |name: &str| name == path && (devtools || !name.starts_with("devtools."));
    let Some(at) = CLIENT.iter().position(|(name, _)| served(name)) else {
        return status(StatusCode::NOT_FOUND);
    };
    let (name, text) = CLIENT[at];
    static ZIPPED: [OnceLock<Vec<u8>>; CLIENT.len()] = [const { OnceLock::new() }; CLIENT.len()];
    let accepts = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(takes_gzip);
    let mut response = if accepts {
        let zipped = ZIPPED[at].get_or_init(|| gzip(text.as_bytes()));
        let mut response = file(name, Cow::Borrowed(zipped), method, request);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        file(name, Cow::Borrowed(text.as_bytes()), method, request)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|part| part == "q=0" || part == "q=0.0")
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing into memory does not fail")
}

/// The client, and the parts of it that a page loads when it uses them.
const CLIENT: [(&str, &str); 16] = [
    ("windlass.js", include_str!("../../../web-client/dist/windlass.js")),
    ("windlass.js.map", include_str!("../../../web-client/dist/windlass.js.map")),
    ("notices.js", include_str!("../../../web-client/dist/notices.js")),
    ("notices.js.map", include_str!("../../../web-client/dist/notices.js.map")),
    ("more-formats.js", include_str!("../../../web-client/dist/more-formats.js")),
    ("more-formats.js.map", include_str!("../../../web-client/dist/more-formats.js.map")),
    ("messages.js", include_str!("../../../web-client/dist/messages.js")),
    ("messages.js.map", include_str!("../../../web-client/dist/messages.js.map")),
    ("forms.js", include_str!("../../../web-client/dist/forms.js")),
    ("forms.js.map", include_str!("../../../web-client/dist/forms.js.map")),
    ("model.js", include_str!("../../../web-client/dist/model.js")),
    ("model.js.map", include_str!("../../../web-client/dist/model.js.map")),
    ("job-card.js", include_str!("../../../web-client/dist/job-card.js")),
    ("job-card.js.map", include_str!("../../../web-client/dist/job-card.js.map")),
    ("devtools.js", include_str!("../../../web-client/dist/devtools.js")),
    ("devtools.js.map", include_str!("../../../web-client/dist/devtools.js.map")),
];

/// Nothing but the page's own files; no text becomes script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_file_beneath_the_root_or_none() {
        assert_eq!(file_path("/").as_deref(), Some("index.html"));
        assert_eq!(file_path("/a/").as_deref(), Some("a/index.html"));
        assert_eq!(file_path("/a%20b.css").as_deref(), Some("a b.css"));
        for path in [
            "/../x",
            "/a/../x",
            "/%2e%2e/x",
            "/..%2fx",
            "/.git/config",
            "/a/.env",
            "/a//b",
            "/a%00b",
            "/a\\b",
            "/c:/x",
            "/%5c..%5cx",
            "/%",
            "/%zz",
            "/%ff",
            "/./x",
        ] {
            assert_eq!(file_path(path), None, "{path}");
        }
        assert_eq!(file_path("/%252e%252e/x").as_deref(), Some("%2e%2e/x"), "decoded once");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let root = std::env::temp_dir().join(format!("windlass-page-{}", crate::random::hex_id()));
        std::fs::create_dir_all(root.join("page/sub")).unwrap();
        std::fs::write(root.join("secret"), "secret").unwrap();
        std::fs::write(root.join("page/sub/a.txt"), "a").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("page/link")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("page/up")).unwrap();
        let page = root.join("page");
        assert_eq!(read_beneath(&page, "sub/a.txt"), Some(b"a".to_vec()));
        for path in ["link", "up/secret", "sub", "nothing"] {
            assert_eq!(read_beneath(&page, path), None, "{path}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_holds_the_sessions_is_no_page() {
        let root = std::env::temp_dir().join(format!("windlass-page-{}", crate::random::hex_id()));
        std::fs::create_dir_all(root.join("page/sub")).unwrap();
        std::os::unix::fs::symlink(root.join("page"), root.join("link")).unwrap();
        let page = root.join("page");
        for inside in ["page", "page/sub", "page/new/data", "link/data", "link"] {
            assert!(is_beneath(&page, &root.join(inside)), "{inside}");
        }
        for outside in ["", "data", "page-data", "page/../data"] {
            assert!(!is_beneath(&page, &root.join(outside)), "{outside}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        assert!(takes_gzip("br, gzip;q=0.8"));
        assert!(!takes_gzip("br"));
        assert!(!takes_gzip("gzip;q=0, br"));
    }

    #[test]
    fn devtools_are_served_where_the_app_has_them_and_all_else_is_everywhere() {
        for (name, _) in CLIENT {
            let status = |devtools| client(name, devtools, &Method::GET, &HeaderMap::new()).status();
            let without = if name.starts_with("devtools") { StatusCode::NOT_FOUND } else { StatusCode::OK };
            assert_eq!((status(true), status(false)), (StatusCode::OK, without), "{name}");
        }
    }

    #[test]
    fn a_page_that_has_not_changed_is_not_sent_again() {
        let first = file("a.html", Cow::Borrowed(b"x"), &Method::GET, &HeaderMap::new());
        assert!(first.headers().contains_key(CONTENT_SECURITY_POLICY));
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let second = file("a.html", Cow::Borrowed(b"x"), &Method::GET, &request);
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    }
}
