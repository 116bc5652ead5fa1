//! APP: a list on the server, and a page that shows it.

use windlass::prelude::*;

/// What each session owns; the page shows all of it.
#[derive(Clone, Default, Serialize, TS)]
struct Home {
    /// The page writes it by itself.
    name: String,
    things: Vec<Thing>,
    /// How many things were counted, when that has been done.
    counted: Option<u64>,
    last_id: Private<u64>,
}

/// One row of the list.
#[derive(Clone, Serialize, TS)]
struct Thing {
    id: u64,
    text: String,
}

/// What the form sends.
#[derive(Deserialize, TS)]
struct Add {
    text: String,
}

fn app() -> App<Home, windlass::Whole, Typed> {
    App::new(Home::default)
        .typed()
        .action("add", add)
        .action("remove", |home, _cx, id: u64| home.things.retain(|thing| thing.id != id))
        .action("count", count)
        .field("name", |home| &mut home.name)
        .page(page!("page"))
}

fn add(home: &mut Home, _cx: &mut Cx<Home>, Add { text }: Add) -> Result {
    if text.trim().is_empty() {
        return Err(Error::refuse("empty", "Write something first"));
    }
    *home.last_id += 1;
    home.things.push(Thing { id: *home.last_id, text });
    Ok(())
}

/// Work that takes its time runs on a thread of its own; the session goes on meanwhile.
fn count(home: &mut Home, cx: &mut Cx<Home>, (): ()) -> Result {
    let total = home.things.len() as u64;
    cx.long_callback("count", move |job| {
        for step in 0..total {
            job.checkpoint()?; // an error when somebody has cancelled it
            job.progress(step, total);
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(total)
    })
    .on_status(|home, cx, status| match status {
        Status::Done(counted) => {
            home.counted = Some(counted);
            cx.notify(Level::Success, format!("There are {counted}"));
        }
        Status::Failed(error) => cx.notify(Level::Error, error.text),
        _ => {}
    })
    .start()?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result {
    let address = std::env::var("WINDLASS_ADDR").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    app().serve(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_added_counted_and_removed() {
        let mut t = app().test();
        t.send("add", serde_json::json!({ "text": "rope" }));
        assert_eq!(t.send("add", serde_json::json!({ "text": " " })).code(), Some("empty"));
        t.send("count", ());
        t.jobs().finish("count");
        assert_eq!(t.document()["counted"], 1);
        t.send("remove", 1);
        assert_eq!(t.document()["things"].as_array().map(Vec::len), Some(0));
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types`");
    }
}
