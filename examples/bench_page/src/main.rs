//! Shows the table of js-framework-benchmark, by its contract of buttons and class names, with all rows on the server.
//!
//! `cargo run --release -p bench_page`, then look at http://127.0.0.1:8086; `plain.html` beside it does the same from local
//! data with a loop written by hand. `cargo xtask bench page` measures the two against each other.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use clap::Parser;
use windlass::Whole;
use windlass::prelude::*;

#[derive(Clone, Serialize, TS)]
struct Table {
    rows: SyncVec<Row>,
    selected: Option<u32>,
    #[serde(skip)]
    last_id: u32,
    #[serde(skip)]
    random: u32,
}

#[derive(Clone, Serialize, TS)]
struct Row {
    id: u32,
    label: String,
}

impl Default for Table {
    fn default() -> Self {
        Self { rows: SyncVec::new(), selected: None, last_id: 0, random: 1 }
    }
}

impl Table {
    /// Puts other rows in the place of all there are.
    fn run(&mut self, count: usize) {
        self.rows.clear();
        self.selected = None;
        self.add(count);
    }

    /// Ids go on where they were, also after a clear.
    fn add(&mut self, count: usize) {
        for _ in 0..count {
            self.last_id += 1;
            let label = format!("{} {} {}", self.pick(&ADJECTIVES), self.pick(&COLOURS), self.pick(&NOUNS));
            self.rows.push(Row { id: self.last_id, label });
        }
    }

    fn update(&mut self) {
        for at in (0..self.rows.len()).step_by(10) {
            self.rows[at].label.push_str(" !!!");
        }
    }

    fn swap(&mut self) {
        if self.rows.len() > 998 {
            self.rows.swap(1, 998);
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.selected = None;
    }

    fn remove(&mut self, id: u32) {
        let at = self.rows.iter().position(|row| row.id == id);
        if let Some(at) = at {
            self.rows.remove(at);
        }
    }

    /// A word of a list, the same in every run (a linear congruence, Numerical Recipes).
    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words[(self.random >> 16) as usize % words.len()]
    }
}

fn app() -> App<Table, Whole, Typed> {
    App::new(Table::default)
        .typed()
        .action("run", |table, _cx, ()| table.run(1_000))
        .action("run_lots", |table, _cx, ()| table.run(10_000))
        .action("add", |table, _cx, ()| table.add(1_000))
        .action("update", |table, _cx, ()| table.update())
        .action("clear", |table, _cx, ()| table.clear())
        .action("swap_rows", |table, _cx, ()| table.swap())
        .action("select", |table, _cx, id: u32| table.selected = Some(id))
        .action("remove", |table, _cx, id: u32| table.remove(id))
        .action("nothing", |_table, _cx, ()| ())
        .page(page!("page"))
}

/// Where to listen.
#[derive(Parser)]
struct Options {
    /// Port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8086")]
    addr: String,
}

#[tokio::main]
async fn main() -> Result {
    let listener = tokio::net::TcpListener::bind(Options::parse().addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let live = app().build()?;
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, served(&live)).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// The app, isolated from other origins, so that its page has the finest clock.
fn served(live: &windlass::Live<Table>) -> Router {
    live.router().layer(middleware::from_fn(isolated))
}

async fn isolated(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in
        [("cross-origin-opener-policy", "same-origin"), ("cross-origin-embedder-policy", "require-corp")]
    {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

const ADJECTIVES: [&str; 12] = [
    "taut",
    "tarred",
    "salty",
    "sturdy",
    "idle",
    "weathered",
    "oiled",
    "nimble",
    "creaking",
    "spare",
    "coiled",
    "heavy",
];
const COLOURS: [&str; 8] = ["red", "ochre", "blue", "green", "brown", "white", "black", "grey"];
const NOUNS: [&str; 12] =
    ["rope", "anchor", "winch", "sail", "keel", "mast", "oar", "buoy", "shackle", "hawser", "capstan", "lantern"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_buttons_do_what_the_contract_says() {
        let mut t = app().test();
        t.send("run", ());
        let id = |t: &windlass::test::Test<Table>, at: usize| t.document()["rows"][at]["id"].clone();
        assert_eq!((id(&t, 0), id(&t, 999)), (json!(1), json!(1_000)));
        t.send("swap_rows", ());
        assert_eq!((id(&t, 1), id(&t, 998)), (json!(999), json!(2)));
        t.send("update", ());
        let marked =
            |at: usize| t.document()["rows"][at]["label"].as_str().is_some_and(|label| label.ends_with(" !!!"));
        assert_eq!([0, 1, 9, 10, 990].map(marked), [true, false, false, true, true]);
        t.send("select", 5);
        t.send("remove", 1);
        assert_eq!((id(&t, 0), &t.document()["selected"]), (json!(999), &json!(5)));
        t.send("add", ());
        assert_eq!(id(&t, 1_998), json!(2_000));
        t.send("clear", ());
        assert_eq!(t.document(), &json!({ "rows": [], "selected": null, "$jobs": [] }));
        t.send("run", ());
        assert_eq!(id(&t, 0), json!(2_001), "ids go on");
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(
            types,
            include_str!("../app.d.ts"),
            "run `windlass types -p bench_page -o examples/bench_page/app.d.ts`"
        );
    }
}
