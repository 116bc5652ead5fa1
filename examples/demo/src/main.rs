//! The demo: eight small examples in one page, on one state a session.
//!
//! Each example is a module with its part of the state and its actions; `page/index.html` holds its markup.
//! The page links to the source of each.

mod counter;
mod fields;
mod heavy;
mod primes;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use windlass::prelude::*;
use windlass::{State, Whole};

use crate::{counter::Counter, fields::Fields, heavy::Heavy, table::Table, text::Text};

/// The app while its examples register what they have.
type DemoApp = App<Demo, Whole, Typed>;

/// What each session owns; the page shows all of it.
#[derive(Clone, Deserialize, Serialize, TS)]
struct Demo {
    /// The first of this server is 1; so a person can tell two apart.
    session: u64,
    counter: Counter,
    heavy: Heavy,
    text: Text,
    fields: Fields,
    table: Table,
}

impl Demo {
    fn new() -> Self {
        Self {
            session: SESSIONS.fetch_add(1, Ordering::Relaxed),
            counter: Counter::default(),
            heavy: Heavy::default(),
            text: Text::default(),
            fields: Fields::default(),
            table: Table::default(),
        }
    }

    /// Back from the disk.
    fn restore(&mut self) {
        SESSIONS.fetch_max(self.session + 1, Ordering::Relaxed);
        text::restore(self);
    }
}

/// From 0, which is the state that the app makes at its start to check that it serialises.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// The Windlass demo: a counter, a heavy task, streaming text and ten thousand rows.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, env = "WINDLASS_ADDR", default_value = "127.0.0.1:8080")]
    addr: String,
    /// The folder that keeps all sessions, so that they outlive the server; made if it is not there.
    #[arg(long, env = "WINDLASS_DATA", default_value = "data/demo", value_name = "DIR")]
    data: PathBuf,
    /// Keep sessions in memory only: they end with the server.
    #[arg(long)]
    ephemeral: bool,
}

impl Options {
    /// Keeps the sessions of one of the apps in a folder of its own, if they are kept.
    fn keep<S, V, M>(&self, name: &str, app: App<S, V, M>) -> App<S, V, M>
    where
        S: State + Serialize + DeserializeOwned,
        V: View<S>,
    {
        if self.ephemeral { app } else { app.data_dir(self.data.join(name)) }
    }
}

#[tokio::main]
async fn main() -> Result {
    // The command of the CSV analysis is this program too.
    csv::be_the_command_if_asked();
    let options = Options::parse();
    // Standard output holds the one line that says where to look; the log goes elsewhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();

    let served = options
        .keep("gallery", app())
        .router(source::router())
        .nest("/chat", options.keep("chat", chat::app()))
        .nest("/console", options.keep("console", console::app()))
        .nest("/controls", options.keep("controls", controls::app()))
        .nest("/csv", options.keep("csv", csv::app()))
        .nest("/sweep", options.keep("sweep", sweep::app()))
        .nest("/todomvc", options.keep("todomvc", todomvc::app()))
        .nest("/training", options.keep("training", training::app()))
        .page(page!("page"))
        .serve(&options.addr)
        .await;
    served.map_err(|error| match error.text.contains("data_dir") {
        true => Error::internal(format!("{}; `--data DIR` takes another folder, `--ephemeral` none", error.text)),
        false => error,
    })
}

/// The app without its page: what the tests drive.
fn app() -> DemoApp {
    let app = App::new(Demo::new).typed();
    let app = counter::register(app);
    let app = heavy::register(app);
    let app = text::register(app).on_restore(|state, _cx| state.restore());
    let app = fields::register(app);
    table::register(app)
}
