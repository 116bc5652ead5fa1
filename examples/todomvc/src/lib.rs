//! Shows TodoMVC to the letter of its specification: a list that is added to, edited, filtered and cleared.
//!
//! All state is on the server, one list a browser, so that a reload keeps it and two tabs share it. Titles and ticks are
//! fields that the page writes; what it writes is shown at once and settles on the server's answer.

use windlass::Per;
use windlass::prelude::*;

/// The list of a browser.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Todos {
    todos: Vec<Todo>,
    /// Whether all are completed; the page writes it to complete all, or none.
    all: bool,
    last_id: u64,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Todo {
    id: u64,
    title: String,
    completed: bool,
}

/// What the page shows of it: the list, and what is counted in it.
pub struct Page;

#[derive(Serialize, TS)]
struct Shown<'a> {
    todos: &'a [Todo],
    all: bool,
    active: usize,
    completed: usize,
}

impl View<Todos> for Page {
    fn view(list: &Todos) -> impl Serialize + '_ {
        let completed = list.todos.iter().filter(|todo| todo.completed).count();
        Shown { todos: &list.todos, all: list.all, active: list.todos.len() - completed, completed }
    }
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Todos, Page, Typed> {
    App::new(Todos::default)
        .view(Page)
        .typed_as::<Shown>()
        .session_per(Per::Browser)
        .action("add", |list, _cx, title: String| list.add(&title))
        .action("destroy", |list, _cx, id: u64| list.retain(|todo| todo.id != id))
        .action("clear_completed", |list, _cx, ()| list.retain(|todo| !todo.completed))
        .field("all", |list| &mut list.all)
        .row_field("todos.completed", "id", |list, id| list.find(*id).map(|todo| &mut todo.completed))
        .row_field("todos.title", "id", |list, id| list.find(*id).map(|todo| &mut todo.title))
        .on_change(|list, _cx, written| match written.path() {
            "all" => list.complete_all(),
            "todos.title" => list.tidy_titles(),
            _ => list.settle(),
        })
        .page(page!("page"))
}

impl Todos {
    fn find(&mut self, id: u64) -> Option<&mut Todo> {
        self.todos.iter_mut().find(|todo| todo.id == id)
    }

    /// A title of nothing but blanks is none.
    fn add(&mut self, title: &str) {
        let title = title.trim();
        if title.is_empty() {
            return;
        }
        self.last_id += 1;
        self.todos.push(Todo { id: self.last_id, title: title.to_owned(), completed: false });
        self.settle();
    }

    fn retain(&mut self, keep: impl Fn(&Todo) -> bool) {
        self.todos.retain(keep);
        self.settle();
    }

    fn complete_all(&mut self) {
        for todo in &mut self.todos {
            todo.completed = self.all;
        }
        self.settle();
    }

    /// A title that was edited is trimmed, and one that was emptied takes its todo with it.
    fn tidy_titles(&mut self) {
        for todo in &mut self.todos {
            todo.title = todo.title.trim().to_owned();
        }
        self.retain(|todo| !todo.title.is_empty());
    }

    fn settle(&mut self) {
        self.all = !self.todos.is_empty() && self.todos.iter().all(|todo| todo.completed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn todos_are_trimmed_counted_completed_and_cleared() {
        let mut t = app().test();
        for title in ["  buy rope ", "   ", "mend the winch"] {
            t.send("add", title);
        }
        assert_eq!(t.document()["todos"][0], json!({ "id": 1, "title": "buy rope", "completed": false }));
        assert_eq!((&t.document()["active"], &t.document()["all"]), (&json!(2), &json!(false)));

        let row = |field: &str| json!(["todos", { "id": 2 }, field]);
        t.send("$set", json!({ "path": row("completed"), "value": true }));
        assert_eq!((&t.document()["active"], &t.document()["completed"]), (&json!(1), &json!(1)));
        t.send("$set", json!({ "path": ["all"], "value": true }));
        assert_eq!((&t.document()["active"], &t.document()["all"]), (&json!(0), &json!(true)));
        t.send("add", "grease it");
        assert_eq!(t.document()["all"], json!(false), "a new one is not completed");

        t.send("$set", json!({ "path": row("title"), "value": "  sell the winch " }));
        assert_eq!(t.document()["todos"][1]["title"], json!("sell the winch"));
        t.send("$set", json!({ "path": row("title"), "value": "  " }));
        assert_eq!(t.document()["todos"].as_array().map(Vec::len), Some(2));
        t.send("clear_completed", ());
        assert_eq!(t.document()["todos"][0]["title"], json!("grease it"));
        t.send("destroy", 3);
        assert_eq!((&t.document()["todos"], &t.document()["all"]), (&json!([]), &json!(false)));
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p todomvc -o examples/todomvc/app.d.ts`");
    }
}
