//! An app beneath a path of another, or of somebody's router: where it is, and how it ends with the other.

use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use crate::live::Live;
use crate::program::State;
use crate::{App, Result, View};

type Ending = Pin<Box<dyn Future<Output = Result> + Send>>;

/// An app beneath a path of another, whatever its state.
pub(crate) struct Nested {
    pub(crate) path: &'static str,
    pub(crate) router: Router,
    pub(crate) drain: Box<dyn Fn(Duration) -> Ending + Send + Sync>,
}

impl Nested {
    fn new<S: State>(path: &'static str, live: Live<S>) -> Self {
        let router = live.router();
        let drain = move |deadline| -> Ending {
            let live = live.clone();
            Box::pin(async move { live.drain(deadline).await })
        };
        Self { path, router, drain: Box::new(drain) }
    }
}

/// An app that is to be nested, until the other is built.
pub(crate) type Nestling = Box<dyn FnOnce() -> Result<Nested>>;

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Serves another app beneath a path of this one: its page, its client and its sockets. It ends when this one does.
    ///
    /// Both have states, sessions and jobs of their own. Names of hosts and limits on connections are this app's, all
    /// else is the other's. To nest an app in a router that is not an app's, see [`Live::router`].
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Shop { open: bool }
    /// #[derive(Clone, Default, Serialize)]
    /// struct Chat { messages: Vec<String> }
    ///
    /// # #[tokio::main] async fn main() -> Result {
    /// let chat = App::new(Chat::default).action("say", |state, _cx, text: String| state.messages.push(text));
    /// let server = App::new(Shop::default).nest("/chat", chat).bind("127.0.0.1:0").await?;
    /// println!("the chat is at http://{}/chat/", server.addr());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`App::build`] gives them: a path that does not begin with `/`, ends with one, or holds `{`, `}` or `*`; what is
    /// wrong with the other app.
    ///
    /// # Panics
    ///
    /// [`App::build`] does, when the path is taken, as by another app or by [`App::router`].
    pub fn nest<T: State, W: View<T>, N: 'static>(mut self, path: &'static str, app: App<T, W, N>) -> Self {
        if !path.starts_with('/') || path.ends_with('/') || path.contains(['{', '}', '*']) {
            let text =
                "an app is nested beneath a path that begins with / and does not end with it, without {, } and *";
            self.problems.push(format!("\"{path}\": {text}"));
        }
        if !app.allowed_hosts.is_empty() {
            self.problems.push(format!("`allowed_host` of the app at \"{path}\" belongs to the app that nests it"));
        }
        self.nestlings.push(Box::new(move || {
            let live = app.assemble().map_err(|mut error| {
                error.text = format!("the app at \"{path}\": {}", error.text);
                error
            })?;
            Ok(Nested::new(path, live))
        }));
        self
    }
}

/// Where an app is, as a browser sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Mount<'a> {
    /// Empty, or the path that it is nested beneath, without a slash behind.
    before: &'a str,
    /// Whether the browser asked for that path itself, without a slash behind.
    lacks_slash: bool,
}

impl<'a> Mount<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let original = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
        Self::between(original.path(), request.uri().path())
    }

    /// What stands before the path that the app sees, in the path that the browser asked for.
    fn between(original: &'a str, seen: &str) -> Self {
        match original.strip_suffix(seen) {
            Some(before) => Self { before, lacks_slash: false },
            // A router shows the path that it has nested an app beneath as the app's root, with a slash or without.
            None if seen == "/" => Self { before: original, lacks_slash: true },
            None => Self { before: "", lacks_slash: false },
        }
    }

    /// Where a browser is sent that has left the last slash out: all relative addresses in the page would lead elsewhere.
    pub(crate) fn redirect(&self, query: Option<&str>) -> Option<Response> {
        let last = self.lacks_slash.then(|| self.before.rsplit('/').next())??;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        // Relative, since a proxy in front may have taken the beginning off; with a dot, so that no colon makes a scheme.
        let to = HeaderValue::from_str(&format!("./{last}/{query}")).ok()?;
        Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response())
    }

    /// The path of its cookies, so that two apps of one server do not take each other's.
    pub(crate) fn cookie_path(&self) -> String {
        // A router may take a part of the path from the request, and an attribute must not end early.
        let is_plain = self.before.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        if is_plain { format!("{}/", self.before) } else { "/".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_where_the_browser_asked_for_it() {
        let at = |before, lacks_slash| Mount { before, lacks_slash };
        for (original, seen, mount) in [
            ("/", "/", at("", false)),
            ("/windlass/socket", "/windlass/socket", at("", false)),
            ("/chat/", "/", at("/chat", false)),
            ("/chat", "/", at("/chat", true)),
            ("/a/chat/windlass/socket", "/windlass/socket", at("/a/chat", false)),
            ("/rewritten", "/to/something/else", at("", false)),
        ] {
            assert_eq!(Mount::between(original, seen), mount, "{original} {seen}");
        }
    }

    #[test]
    fn who_leaves_the_last_slash_out_is_sent_there_and_nowhere_else() {
        let location = |original, query| {
            let redirect = Mount::between(original, "/").redirect(query)?;
            Some(redirect.headers()[LOCATION].to_str().unwrap().to_owned())
        };
        assert_eq!(location("/chat/", None), None);
        assert_eq!(location("/a/chat", None).as_deref(), Some("./chat/"));
        assert_eq!(location("/chat", Some("to=3")).as_deref(), Some("./chat/?to=3"));
        assert_eq!(location("/javascript:x", None).as_deref(), Some("./javascript:x/"));
    }

    #[test]
    fn a_cookie_is_the_apps_own_and_its_path_is_no_place_for_attributes() {
        assert_eq!(Mount::between("/", "/").cookie_path(), "/");
        assert_eq!(Mount::between("/chat/", "/").cookie_path(), "/chat/");
        assert_eq!(Mount::between("/a;Domain=evil.example/", "/").cookie_path(), "/");
    }
}
