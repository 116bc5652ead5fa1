//! Who connects: whom the app knows, which browser it is, and what each shares a session with.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use http::header::{COOKIE, HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use sha2::{Digest, Sha256};

use tokio::time::Instant;
use windlass_protocol::SessionId;

use crate::address::Address;
use crate::parked::Holder;
use crate::program::{State, View};
use crate::quota::Quota;
use crate::server::OpenConnection;
use crate::{App, Error, Result, random};

/// What shares a session. See [`App::session_per`].
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// use windlass::Per;
///
/// let app = App::new(Demo::default).session_per(Per::Browser); // all tabs of a browser show the same
/// # let _ = app;
/// assert_eq!(Per::default(), Per::Tab);
/// assert_ne!(Per::User, Per::Browser);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// Each tab has its own.
    #[default]
    Tab,
    /// The tabs of a browser share one, known by a cookie.
    Browser,
    /// All pages of a person share one, known by what [`App::authenticate`] says.
    User,
}

/// Somebody whom the app knows. See [`App::authenticate`].
///
/// ```
/// use std::time::Duration;
/// use windlass::Identity;
///
/// let ann = Identity::new("account 17").expires_in(Duration::from_secs(3_600));
/// assert_eq!(ann.subject(), "account 17");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    subject: Arc<str>,
    lasts: Option<Duration>,
}

impl Identity {
    /// Somebody by a name of the app's own that is never given to anybody else: an account's id, say.
    #[must_use]
    pub fn new(subject: impl Into<Arc<str>>) -> Self {
        Self { subject: subject.into(), lasts: None }
    }

    /// How long it holds from now on. Then the connections that it has opened are closed with `login`, and the page comes
    /// back when whoever it is has logged in again: to the same session.
    #[must_use]
    pub fn expires_in(mut self, lasts: Duration) -> Self {
        self.lasts = Some(lasts);
        self
    }

    /// The name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Asks the app who it is.
pub(crate) type Authenticate = Box<dyn Fn(&Parts) -> Asking + Send + Sync>;
pub(crate) type Asking = Pin<Box<dyn Future<Output = Result<Option<Identity>>> + Send>>;

/// Who has opened a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guest {
    pub(crate) identity: Option<Arc<str>>,
    /// The hash of the browser's cookie.
    pub(crate) browser: Option<[u8; 32]>,
    /// Until when the identity holds.
    pub(crate) expires: Option<Instant>,
    /// Where it comes from, where that is limited.
    pub(crate) address: Option<Address>,
    /// What its address has taken.
    pub(crate) quota: Option<Arc<Quota>>,
    /// The connection that it came with, which counts until it is closed.
    pub(crate) open: Option<Arc<OpenConnection>>,
}

/// What becomes of a stranger's session when they log in. See [`App::on_login`].
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// use windlass::Login;
///
/// let app = App::new(Demo::default).on_login(Login::Fresh);
/// # let _ = app;
/// assert_eq!(Login::default(), Login::Keep);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// It goes on, with another token and without the other pages that it had.
    #[default]
    Keep,
    /// It is left behind, and one of their own begins.
    Fresh,
}

/// What a session belongs to, when it is not one tab's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    Browser([u8; 32]),
    User(Arc<str>),
}

impl Home {
    /// The id of its session: the same whichever process makes it, as long as the app's key is. A home has more than one
    /// where a browser was left by one person and taken by another; `nth` counts them.
    pub(crate) fn session(&self, key: &[u8; 32], nth: u8) -> SessionId {
        let mut hash = Sha256::new();
        hash.update(b"home");
        hash.update(key);
        hash.update([nth]);
        match self {
            Self::Browser(cookie) => {
                hash.update([0]);
                hash.update(cookie);
            }
            Self::User(subject) => {
                hash.update([1]);
                hash.update(subject.as_bytes());
            }
        }
        SessionId(hash.finalize()[..12].try_into().expect("twelve of 32 bytes"))
    }
}

impl Identity {
    /// Who it is, and until when.
    pub(crate) fn into_parts(self) -> (Arc<str>, Option<Instant>) {
        // A time that no clock can count to never comes.
        (self.subject, self.lasts.and_then(|lasts| Instant::now().checked_add(lasts)))
    }
}

impl Guest {
    /// Whose the room is that a session takes.
    pub(crate) fn holder(&self, session: SessionId) -> Holder {
        // A browser is not it: whoever wants many cookies has them.
        match (&self.identity, self.address) {
            (Some(subject), _) => Holder::User(Arc::clone(subject)),
            (None, Some(address)) => Holder::Address(address),
            (None, None) => Holder::Alone(session),
        }
    }
}

impl Per {
    /// Where the guest's session is looked for; an error when it is nobody and has to be somebody.
    pub(crate) fn home(self, guest: &Guest) -> Result<Option<Home>, ()> {
        match self {
            Self::Tab => Ok(None),
            Self::Browser => Ok(guest.browser.map(Home::Browser)),
            Self::User => guest.identity.clone().map(Home::User).map(Some).ok_or(()),
        }
    }
}

/// Waits for the app's word on a guest. An error closes with `login`.
pub(crate) async fn ask(mut asking: Asking) -> Result<Option<Identity>> {
    let answered = poll_fn(move |task| match windlass_engine::guard(|| asking.as_mut().poll(task)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(answer)) => Poll::Ready(answer),
        Err(panic) => Poll::Ready(Err(Error::internal(format!("`authenticate` panicked: {panic}")))),
    });
    match tokio::time::timeout(ASKED_MAX, answered).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::internal(format!("`authenticate` took longer than {ASKED_MAX:?}"))),
    }
}

/// The cookies by which browsers are told apart. Only this app can make one, so that a made-up one is none.
pub(crate) struct Cookies {
    key: [u8; 32],
}

impl Cookies {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The hash of the cookie that came with a request, if it is one of ours.
    pub(crate) fn known(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut values = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        values.find_map(|(name, value)| (name == NAME).then(|| self.check(value)).flatten())
    }

    fn check(&self, value: &str) -> Option<[u8; 32]> {
        let (random, seal) = value.split_at_checked(DIGITS)?;
        // Digests of both: how long they take to compare says nothing of how much of a forged seal is right.
        let is_sealed = Sha256::digest(self.seal(random)) == Sha256::digest(seal);
        is_sealed.then(|| Sha256::digest(value.as_bytes()).into())
    }

    /// A new one for what is beneath that path: what to set, and the hash of it. `origins` are those that the app declares.
    pub(crate) fn make(&self, request: &HeaderMap, path: &str, origins: &[String]) -> (HeaderValue, [u8; 32]) {
        let random = hex(&random::bytes::<16>());
        let value = format!("{random}{}", self.seal(&random));
        // A socket names its page's origin. A page that is loaded names its host only, and behind a proxy comes without
        // TLS: there it counts what the app has declared as its address.
        let host = request.get(HOST).and_then(|host| host.to_str().ok());
        let is_public =
            host.is_some_and(|host| origins.iter().any(|origin| origin.strip_prefix("https://") == Some(host)));
        let secure = is_public || request.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!("{NAME}={value}; Path={path}; Max-Age={AGE_SECONDS}; HttpOnly; SameSite=Lax{secure}");
        let cookie = HeaderValue::from_str(&cookie).expect("digits and attributes are a header value");
        (cookie, Sha256::digest(value.as_bytes()).into())
    }

    /// Both sides have one length, so that nothing can be appended to what was sealed.
    fn seal(&self, random: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(random.as_bytes());
        hex(&hash.finalize()[..16])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// What shares a session: each tab has its own by default, [`Per::Browser`] and [`Per::User`] let pages see the same.
    ///
    /// Up to 16 pages share one; when one more comes, the page that was away for longest begins anew.
    ///
    /// ```
    /// use windlass::{Per, prelude::*};
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Basket { items: u64 }
    ///
    /// let app = App::new(Basket::default)
    ///     .session_per(Per::Browser)
    ///     .action("put", |state, _cx, ()| state.items += 1);
    /// # let _ = app;
    /// ```
    pub fn session_per(mut self, per: Per) -> Self {
        self.per = per;
        self
    }

    /// Finds out who connects, before there is a session: from cookies, headers, or what a middleware has left in the
    /// extensions of the request.
    ///
    /// `None` is a stranger who is let in, an error turns the page away with `login`, and so does an answer that takes more
    /// than 5 seconds. A session that a stranger began goes on when they log in, with another token and without the
    /// other pages that it had; one of somebody else is never given.
    ///
    /// ```
    /// use windlass::{Identity, Per, prelude::*};
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Notes { notes: Vec<String> }
    ///
    /// let app = App::new(Notes::default).session_per(Per::User).authenticate(|request| {
    ///     let user = request.headers.get("x-user").and_then(|user| user.to_str().ok()).map(str::to_owned);
    ///     async move { Ok(Some(Identity::new(user.ok_or_else(|| Error::refuse("login", "who are you?"))?))) }
    /// });
    /// # let _ = app;
    /// ```
    pub fn authenticate<F>(mut self, f: impl Fn(&Parts) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Identity>>> + Send + 'static,
    {
        self.authenticate = Some(Box::new(move |parts| Box::pin(f(parts))));
        self
    }

    /// What becomes of a stranger's session when they log in; it goes on by default.
    ///
    /// A session of somebody who is known never becomes anybody else's, whatever this says.
    ///
    /// ```
    /// # use windlass::{Login, prelude::*};
    /// # #[derive(Clone, Default, Serialize)] struct Shop { basket: Vec<String> }
    /// let app = App::new(Shop::default).on_login(Login::Fresh);
    /// # let _ = app;
    /// ```
    pub fn on_login(mut self, login: Login) -> Self {
        self.options.login = login;
        self
    }
}

const NAME: &str = "windlass_browser";
const DIGITS: usize = 32;
/// As long as browsers keep one at most.
const AGE_SECONDS: u32 = 400 * 24 * 60 * 60;
/// A page that waits for longer looks broken.
pub(crate) const ASKED_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())])
    }

    /// YOURS-ALONE
    #[test]
    fn a_cookie_that_was_not_made_here_is_none() {
        let cookies = Cookies::new([1; 32]);
        let (set, hash) = cookies.make(&HeaderMap::new(), "/", &[]);
        let set = set.to_str().unwrap();
        let pair = set.split(';').next().unwrap();
        assert!(set.contains("; HttpOnly; SameSite=Lax") && !set.contains("Secure"), "{set}");
        assert_eq!(cookies.known(&with(&format!("a=b; {pair}; c=d"))), Some(hash));
        assert_eq!(Cookies::new([2; 32]).known(&with(pair)), None, "of another app");
        let other = format!("{}{}", &pair[..pair.len() - 1], if pair.ends_with('0') { 1 } else { 0 });
        for made_up in [&*other, "windlass_browser=", "windlass_browser", "x"] {
            assert_eq!(cookies.known(&with(made_up)), None, "{made_up}");
        }
    }

    #[test]
    fn a_home_has_the_same_session_in_every_process_and_no_two_homes_share_one() {
        let (ada, bob) = (Home::User("ada".into()), Home::User("bob".into()));
        let key = [7; 32];
        assert_eq!(ada.session(&key, 0), Home::User("ada".into()).session(&key, 0));
        let ids = [
            ada.session(&key, 0),
            ada.session(&key, 1),
            bob.session(&key, 0),
            ada.session(&[8; 32], 0),
            Home::Browser([7; 32]).session(&key, 0),
        ];
        assert_eq!(std::collections::HashSet::from(ids).len(), ids.len());
    }

    #[test]
    fn a_page_over_tls_keeps_its_cookie_to_tls() {
        let request = HeaderMap::from_iter([(ORIGIN, "https://a.example".parse().unwrap())]);
        assert!(Cookies::new([1; 32]).make(&request, "/", &[]).0.to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn a_page_of_the_public_address_keeps_its_cookie_to_tls_though_a_proxy_has_taken_it_off() {
        let declared = ["https://a.example".to_owned(), "http://b.example".to_owned()];
        for (host, secure) in [("a.example", true), ("b.example", false), ("127.0.0.1:8080", false)] {
            let request = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            let (set, _) = Cookies::new([1; 32]).make(&request, "/", &declared);
            assert_eq!(set.to_str().unwrap().ends_with("; Secure"), secure, "{host}");
        }
    }
}
