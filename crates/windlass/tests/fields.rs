//! Fields of rows within rows: what a page may write, what it may not, and what is wrong with how they are declared.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use serde_json::json;
use windlass::prelude::*;
use windlass::test::{Answer, Test};

#[derive(Clone, Default, Serialize)]
struct Board {
    columns: Vec<Column>,
    meta: Meta,
    told: Vec<String>,
}

#[derive(Clone, Serialize)]
struct Column {
    id: u64,
    cards: Vec<Card>,
}

#[derive(Clone, Serialize)]
struct Card {
    name: String,
    meta: Meta,
}

#[derive(Clone, Default, Serialize)]
struct Meta {
    text: String,
}

/// Cards of one name in both columns, so that a write to the wrong one shows.
fn board() -> Board {
    let cards = || ["a", "b"].map(|name| Card { name: name.into(), meta: Meta::default() }).into();
    let columns = [1, 2].map(|id| Column { id, cards: cards() }).into();
    Board { columns, ..Board::default() }
}

fn text<'a>(board: &'a mut Board, (column, card): &(u64, String)) -> Option<&'a mut String> {
    let column = board.columns.iter_mut().find(|one| one.id == *column)?;
    column.cards.iter_mut().find(|one| one.name == *card).map(|card| &mut card.meta.text)
}

fn app() -> App<Board> {
    App::new(board).nested_field("columns[id].cards[name].meta.text", text)
}

/// [SET-1] [SET-2]
#[test]
fn a_field_of_rows_within_rows_is_written_by_the_keys_of_both() {
    let mut t = app().test();
    t.update(|board, _cx| {
        board.columns.reverse();
        board.columns[0].cards.reverse();
    });
    let path = json!(["columns", { "id": 2 }, "cards", { "name": "a" }, "meta", "text"]);
    assert!(t.send("$set", json!({ "path": path, "value": "tar" })).is_applied());
    assert!(t.set("columns[id=1].cards[name=b].meta.text", "oil").is_applied());
    let texts = |t: &Test<Board>| {
        let cards = t.document()["columns"].as_array().unwrap().iter().map(|column| column["cards"].clone());
        cards.map(|cards| json!([cards[0]["meta"]["text"], cards[1]["meta"]["text"]])).collect::<Vec<_>>()
    };
    assert_eq!(texts(&t), [json!(["", "tar"]), json!(["", "oil"])]);
    for (path, value, code) in [
        (json!(["columns", { "id": 3 }, "cards", { "name": "a" }, "meta", "text"]), json!("x"), "gone"),
        (json!(["columns", { "id": 1 }, "cards", { "name": "c" }, "meta", "text"]), json!("x"), "gone"),
        (json!(["columns", { "id": 1 }, "cards", { "name": "a" }, "meta", "text"]), json!(7), "bad_payload"),
        (json!(["columns", { "id": "1" }, "cards", { "name": "a" }, "meta", "text"]), json!("x"), "bad_payload"),
        (json!(["columns", { "id": 1 }, "cards", { "name": 2 }, "meta", "text"]), json!("x"), "bad_payload"),
        (json!(["columns", { "id": [1, "a"] }, "cards", { "name": "a" }, "meta", "text"]), json!("x"), "bad_payload"),
        (json!(["columns", { "id": 1 }, { "name": "a" }, "cards", "meta", "text"]), json!("x"), "unknown_field"),
        (json!(["columns", "cards", { "id": 1 }, { "name": "a" }, "meta", "text"]), json!("x"), "unknown_field"),
        (json!(["columns", { "name": 1 }, "cards", { "id": "a" }, "meta", "text"]), json!("x"), "unknown_field"),
        (json!(["columns", { "id": 1 }, "cards", "meta", "text"]), json!("x"), "unknown_field"),
        (json!(["columns", "cards", "meta", "text"]), json!("x"), "unknown_field"),
    ] {
        let answer = t.send("$set", json!({ "path": path, "value": value }));
        assert_eq!(answer.code(), Some(code), "{path}");
    }
    assert_eq!(texts(&t), [json!(["", "tar"]), json!(["", "oil"])], "and nothing has changed");
    let undeclared = json!(["columns", { "id": 1 }, "cards", { "name": "a" }, "name"]);
    let answer = t.send("$set", json!({ "path": undeclared, "value": "x" }));
    assert!(matches!(&answer, Answer::Refused { text, .. } if text.contains("`App::nested_field`")), "{answer:?}");
}

#[test]
fn on_change_hears_of_the_keys_of_all_rows() {
    let mut t = app()
        .on_change(|board: &mut Board, _cx, written| {
            let (column, card) = written.key::<(u64, String)>()?;
            board.told.push(format!("{} {column} {card}", written.path()));
            Ok::<(), Error>(())
        })
        .test();
    assert!(t.set("columns[id=2].cards[name=b].meta.text", "x").is_applied());
    assert_eq!(t.state().told, ["columns[id].cards[name].meta.text 2 b"]);
}

#[test]
fn a_row_may_stand_further_up_and_be_written_whole() {
    #[derive(Clone, Default, Serialize)]
    struct Names {
        rows: Vec<Row>,
    }
    #[derive(Clone, Serialize, Deserialize)]
    struct Row {
        id: u64,
        first: Name,
    }
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Name {
        name: String,
    }
    let mut t = App::new(|| Names { rows: vec![Row { id: 7, first: Name::default() }] })
        .nested_field("rows[id].first.name", |names, (id,): &(u64,)| {
            names.rows.iter_mut().find(|row| row.id == *id).map(|row| &mut row.first.name)
        })
        .row_field("rows", "id", |names, id: &u64| names.rows.iter_mut().find(|row| row.id == *id))
        .test();
    assert!(t.set("rows[id=7].first.name", "Ada").is_applied());
    assert_eq!(t.state().rows[0].first.name, "Ada");
    assert!(t.set("rows[id=7]", json!({ "id": 8, "first": { "name": "Grace" } })).is_applied());
    assert_eq!(t.document()["rows"][0], json!({ "id": 8, "first": { "name": "Grace" } }));
}

#[test]
fn a_path_that_cannot_be_is_told_when_the_app_is_built() {
    fn none<'a>(_: &'a mut Board, _: &(u64, u64)) -> Option<&'a mut String> {
        None
    }
    fn first<'a>(_: &'a mut Board, _: &u64) -> Option<&'a mut String> {
        None
    }
    let app = || App::new(board);
    for (app, problem) in [
        (app().nested_field("columns[id.text", none), "\"columns[id.text\" cannot be a field: \"columns[id\" is none"),
        (app().nested_field("columns[].a[b].c", none), "\"columns[]\" is none of its steps"),
        (app().nested_field("$jobs[id].a[b]", none), "\"$jobs[id]\" is none of its steps"),
        (
            app().nested_field("columns[id].text", none),
            "it goes through 1 rows, each a `[…]`, and its function takes 2 keys",
        ),
        (app().field("columns[id].text", |board| &mut board.meta.text), "is declared with `App::nested_field`"),
        (app().row_field("columns[id].text", "id", first), "is declared with `App::nested_field`"),
        (app().row_field("columns.text", "", first), "\"\" cannot be the key of a row"),
        (
            app().row_field("meta.text", "id", first),
            "the field \"meta.text\": \"meta\" is no list in the view; say with `App::nested_field` where its rows are",
        ),
        (
            self::app().nested_field("columns[key].cards[id].meta.text", none),
            "the field \"columns[key].cards[id].meta.text\" is declared twice",
        ),
        (
            app()
                .row_field("columns.text", "id", first)
                .nested_field("columns[id].text", |_, _: &(u64,)| None::<&mut String>),
            "the field \"columns[id].text\" is declared twice",
        ),
    ] {
        let error = app.build().err().expect("it cannot be built").text;
        assert!(error.contains(problem), "{problem}: {error}");
    }
}
