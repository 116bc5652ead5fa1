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

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use serde::Serialize;
use windlass::prelude::*;

use crate::{counter::Counter, fields::Fields, heavy::Heavy, table::Table, text::Text};

/// What each session owns; the page shows all of it.
#[derive(Clone, Serialize)]
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
        // From 0, which is the state that the app makes at its start to check that it serialises.
        static SESSIONS: AtomicU64 = AtomicU64::new(0);
        Self {
            session: SESSIONS.fetch_add(1, Ordering::Relaxed),
            counter: Counter::default(),
            heavy: Heavy::default(),
            text: Text::default(),
            fields: Fields::default(),
            table: Table::default(),
        }
    }
}

/// The Windlass demo: a counter, a heavy task, streaming text and ten thousand rows.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, env = "WINDLASS_ADDR", default_value = "127.0.0.1:8080")]
    addr: String,
}

#[tokio::main]
async fn main() -> Result {
    let options = Options::parse();
    // Standard output holds the one line that says where to look; the log goes elsewhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();

    app()
        .router(source::router())
        .nest("/chat", chat::app())
        .nest("/console", console::app())
        .nest("/todomvc", todomvc::app())
        .nest("/training", training::app())
        .page(page!("page"))
        .serve(options.addr)
        .await
}

/// The app without its page: what the tests drive.
fn app() -> App<Demo> {
    let app = App::new(Demo::new);
    let app = counter::register(app);
    let app = heavy::register(app);
    let app = text::register(app);
    let app = fields::register(app);
    table::register(app)
}
