//! Shows every control of a form as a field of the state, every way to send an action, and a job as a card.
//!
//! The tabs of a browser share one state, so that two of them show who is disturbed by whom: nobody.

use std::collections::VecDeque;
use std::thread;

use serde_json::Value;
use windlass::prelude::*;
use windlass::{Per, PoolOptions, Whole};

/// A field for each kind of control, a list, and what was sent.
#[derive(Clone, Deserialize, Serialize, TS)]
pub struct Controls {
    text: String,
    area: String,
    /// Written when the person is through with it.
    lazy: String,
    /// Written after a pause.
    paused: String,
    number: Option<f64>,
    range: f64,
    on: bool,
    extras: Vec<String>,
    size: String,
    colour: String,
    tags: Vec<String>,
    day: String,
    time: String,
    tint: String,
    rows: Vec<Row>,
    last_row: u64,
    /// A list in each row of a list.
    lockers: Vec<Locker>,
    /// What came, the newest first.
    #[ts(as = "Vec<String>")]
    sent: VecDeque<String>,
    /// How many times a field was written.
    writes: u64,
    /// How many jobs were started.
    hauls: u32,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Row {
    id: u64,
    name: String,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Locker {
    name: String,
    ropes: Vec<Row>,
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Controls, Whole, Typed> {
    let app = App::new(Controls::new)
        .typed()
        .session_per(Per::Browser)
        .pool("winch", PoolOptions { threads: 1, ..PoolOptions::default() });
    fields(app)
        .on_change(|controls, _cx, _written| controls.writes += 1)
        .action("say", |controls, _cx, what: Value| controls.note(what.to_string()))
        .action("turn", |controls, _cx, ()| controls.rows.rotate_left(1))
        .action("turn_lockers", |controls, _cx, ()| {
            controls.lockers.rotate_left(1);
            controls.lockers.iter_mut().for_each(|locker| locker.ropes.rotate_left(1));
        })
        .action("add", |controls, _cx, ()| controls.add())
        .action("remove", |controls, _cx, id: u64| controls.rows.retain(|row| row.id != id))
        .action("haul", haul)
        .page(page!("page"))
}

fn fields(app: App<Controls, Whole, Typed>) -> App<Controls, Whole, Typed> {
    app.field("text", |controls| &mut controls.text)
        .field("area", |controls| &mut controls.area)
        .field("lazy", |controls| &mut controls.lazy)
        .field("paused", |controls| &mut controls.paused)
        .field("number", |controls| &mut controls.number)
        .field("range", |controls| &mut controls.range)
        .field("on", |controls| &mut controls.on)
        .field("extras", |controls| &mut controls.extras)
        .field("size", |controls| &mut controls.size)
        .field("colour", |controls| &mut controls.colour)
        .field("tags", |controls| &mut controls.tags)
        .field("day", |controls| &mut controls.day)
        .field("time", |controls| &mut controls.time)
        .field("tint", |controls| &mut controls.tint)
        .row_field("rows.name", "id", |controls, id: &u64| {
            controls.rows.iter_mut().find(|row| row.id == *id).map(|row| &mut row.name)
        })
        .nested_field("lockers[name].ropes[id].name", |controls, (locker, rope): &(String, u64)| {
            let locker = controls.lockers.iter_mut().find(|one| one.name == *locker)?;
            locker.ropes.iter_mut().find(|one| one.id == *rope).map(|rope| &mut rope.name)
        })
}

impl Controls {
    fn new() -> Self {
        let text = |text: &str| text.to_owned();
        let rope = |id| Row { id, name: format!("Rope {id}") };
        let lockers = ["fore", "aft"].map(|name| Locker { name: text(name), ropes: [1, 2].map(rope).into() });
        let mut controls = Self {
            text: text("rope"),
            area: text("two strands\nof hemp"),
            lazy: String::new(),
            paused: String::new(),
            number: Some(3.0),
            range: 40.0,
            on: false,
            extras: vec![text("tar")],
            size: text("m"),
            colour: text("brown"),
            tags: vec![text("wet")],
            day: text("2026-03-04"),
            time: text("07:30"),
            tint: text("#8a5c14"),
            rows: Vec::new(),
            last_row: 0,
            lockers: lockers.into(),
            sent: VecDeque::new(),
            writes: 0,
            hauls: 0,
        };
        for _ in 0..4 {
            controls.add();
        }
        controls
    }

    fn add(&mut self) {
        if self.rows.len() < ROWS_MAX {
            self.last_row += 1;
            self.rows.push(Row { id: self.last_row, name: format!("Coil {}", self.last_row) });
        }
    }

    fn note(&mut self, what: String) {
        self.sent.push_front(what.chars().take(NOTE_MAX).collect());
        self.sent.truncate(NOTES_MAX);
    }
}

/// What the button that starts a job says beside it.
#[derive(Deserialize, TS)]
struct Haul {
    /// How long it takes; at most a minute.
    seconds: f64,
    #[serde(default)]
    #[ts(as = "Option<_>", optional)]
    fails: bool,
}

fn haul(controls: &mut Controls, cx: &mut Cx<Controls>, Haul { seconds, fails }: Haul) -> Result {
    if !(0.0..=60.0).contains(&seconds) {
        return Err(Error::refuse("too_long", "a haul takes at most 60 seconds"));
    }
    controls.hauls += 1;
    cx.long_callback(format!("Haul {}", controls.hauls), move |job| {
        let steps = (seconds / STEP.as_secs_f64()).ceil() as u32;
        job.log("the winch is manned");
        for step in 1..=steps {
            job.checkpoint()?;
            thread::sleep(STEP);
            job.progress(step.into(), steps.into());
            job.text(format!("turn {step} of {steps}"));
            if step % 10 == 0 {
                job.log(format!("{step} turns"));
            }
        }
        match fails {
            true => Err(Error::refuse("parted", "the rope parted")),
            false => Ok(()),
        }
    })
    .pool("winch")
    .start()?;
    Ok(())
}

const ROWS_MAX: usize = 1_000;
/// Notes that are kept, and letters of each.
const NOTES_MAX: usize = 20;
const NOTE_MAX: usize = 200;
/// Long enough for every one to be seen.
const STEP: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_control_has_a_field_that_the_page_may_write() {
        let mut t = app().test();
        let values = json!({
            "text": "a", "area": "b\nc", "lazy": "d", "paused": "e", "number": null, "range": 7.0, "on": true, "extras": ["oil"],
            "size": "l", "colour": "black", "tags": ["wet", "long"], "day": "2027-01-01", "time": "12:00", "tint": "#000000",
        });
        let values = values.as_object().cloned().unwrap_or_default();
        let count = values.len();
        for (path, value) in values {
            t.send("$set", json!({ "path": [path], "value": value }));
            assert_eq!(t.document()[&path], value);
        }
        t.send("$set", json!({ "path": ["rows", { "id": 2 }, "name"], "value": "Hawser" }));
        assert_eq!(t.document()["rows"][1]["name"], "Hawser");
        assert_eq!(t.document()["writes"], count + 1);
    }

    #[test]
    fn what_is_sent_is_noted_the_newest_first_and_bounded() {
        let mut t = app().test();
        for n in 0..30 {
            t.send("say", json!({ "n": n }));
        }
        assert_eq!(
            (&t.document()["sent"][0], t.document()["sent"].as_array().map(Vec::len)),
            (&json!("{\"n\":29}"), Some(20))
        );
        t.send("turn", ());
        t.send("remove", 1);
        assert_eq!(t.document()["rows"], json!([2, 3, 4].map(|id| json!({ "id": id, "name": format!("Coil {id}") }))));
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(
            types,
            include_str!("../app.d.ts"),
            "run `windlass types -p controls -o examples/controls/app.d.ts`"
        );
    }
}
