//! Declared fields: the places of the state that a page may write to by itself.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_protocol::{Place, Set};

use crate::program::{Refusal, State, View};
use crate::types::{Described, Describes};
use crate::{App, Error, Result};

/// A field that a page may write to.
pub(crate) struct Field<S: State> {
    /// As it was declared.
    pub(crate) path: &'static str,
    pub(crate) places: Vec<Place<'static>>,
    pub(crate) keys: Keys,
    write: Write<S>,
    /// The types of the keys and of what is written, when the app is typed.
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) rows: Described,
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) value: Described,
}

/// How its function takes the keys of the rows that a field is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// It is in none.
    None,
    /// The key of its one row by itself.
    One,
    /// A tuple, with a key for each row.
    Tuple,
}

/// Puts a value there; the keys come first.
type Write<S> = Box<dyn Fn(&mut S, &str, &str) -> Result<(), Refusal> + Send + Sync>;

impl<S: State> Field<S> {
    pub(crate) fn is(&self, set: &Set<'_>) -> bool {
        set.is(&self.places)
    }

    /// The keys of the rows that it is written in, as JSON of the type that its function takes.
    pub(crate) fn keys<'a>(&self, set: &'a Set<'_>) -> Option<Cow<'a, str>> {
        let mut rows = set.rows().map(|row| row.get());
        match self.keys {
            Keys::None => None,
            Keys::One => rows.next().map(Cow::Borrowed),
            Keys::Tuple => Some(Cow::Owned(format!("[{}]", rows.collect::<Vec<_>>().join(",")))),
        }
    }

    pub(crate) fn write(&self, keys: Option<&str>, set: &Set<'_>, state: &mut S) -> Result<(), Refusal> {
        (self.write)(state, keys.unwrap_or("null"), set.value.get())
    }

    /// Why it cannot be where it was declared, in a view that begins like this one.
    pub(crate) fn misplaced(&self, root: &serde_json::Map<String, Value>) -> Option<String> {
        // What comes after the first row depends on which one it is.
        let at = self.places.iter().position(|place| matches!(place, Place::Row(_)))?;
        let mut members = self.places[..at].iter();
        let Some(Place::Member(first)) = members.next() else { return None };
        let list = members.try_fold(root.get(*first)?, |value, place| match place {
            Place::Member(name) => value.get(*name),
            Place::Row(_) => None,
        })?;
        (!list.is_array() && !list.is_null()).then(|| {
            format!(
                "the field \"{}\": \"{}\" is no list in the view; say with `App::nested_field` where its rows are",
                self.path,
                shown(&self.places[..at])
            )
        })
    }
}

/// The keys of the rows that a field of [`App::nested_field`] is in: a tuple of up to four, the outermost first.
///
/// ```
/// fn are_keys<K: windlass::RowKeys>() {}
///
/// are_keys::<(u64, String)>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tuple of keys",
    note = "a nested field takes one key for each `[…]` of its path: `(list, row): &(u64, u64)`, or `(row,): &(u64,)`"
)]
pub trait RowKeys: DeserializeOwned + 'static {
    /// How many there are.
    ///
    /// ```
    /// use windlass::RowKeys;
    ///
    /// assert_eq!(<(u64, String)>::ROWS, 2);
    /// ```
    const ROWS: usize;
}

impl<A> RowKeys for (A,)
where
    Self: DeserializeOwned + 'static,
{
    const ROWS: usize = 1;
}

impl<A, B> RowKeys for (A, B)
where
    Self: DeserializeOwned + 'static,
{
    const ROWS: usize = 2;
}

impl<A, B, C> RowKeys for (A, B, C)
where
    Self: DeserializeOwned + 'static,
{
    const ROWS: usize = 3;
}

impl<A, B, C, D> RowKeys for (A, B, C, D)
where
    Self: DeserializeOwned + 'static,
{
    const ROWS: usize = 4;
}

/// What a page has written, for [`App::on_change`].
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Serialize)]
/// struct Todo { id: u64, text: String }
///
/// #[derive(Clone, Default, Serialize)]
/// struct Todos { todos: Vec<Todo>, changed: Vec<u64> }
///
/// let app = App::new(Todos::default)
///     .row_field("todos.text", "id", |state, id: &u64| {
///         state.todos.iter_mut().find(|todo| todo.id == *id).map(|todo| &mut todo.text)
///     })
///     .on_change(|state: &mut Todos, _cx, written| {
///         if written.path() == "todos.text" {
///             state.changed.push(written.key()?);
///         }
///         Ok::<(), Error>(())
///     });
/// let mut t = app.test();
/// t.update(|state, _| state.todos.push(Todo { id: 7, text: String::new() }));
/// t.send("$set", serde_json::json!({ "path": ["todos", { "id": 7 }, "text"], "value": "milk" }));
/// assert_eq!((&*t.state().todos[0].text, &*t.state().changed), ("milk", &[7][..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub(crate) path: &'static str,
    /// As JSON; none when it is in no row.
    pub(crate) keys: Option<&'a str>,
}

impl Written<'_> {
    /// The path, as it was declared.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The key of the row that it is in; of an [`App::nested_field`] the tuple of all of them.
    ///
    /// # Errors
    ///
    /// When it is in no row, or the key is of another type.
    pub fn key<K: DeserializeOwned>(&self) -> Result<K> {
        let keys = self.keys.ok_or_else(|| Error::internal(format!("the field \"{}\" is in no row", self.path)))?;
        Ok(serde_json::from_str(keys)?)
    }
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Lets pages write to a field of the state: with `w-model`, or `$set` of the protocol. The path is dotted.
    ///
    /// The path is the one in the view, `f` says where that is in the state. The value is typed by serde: what does not fit
    /// is refused, and nothing is written. Writing is an action like any other: numbered, applied once, answered.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Profile { name: String, age: Option<u8> }
    ///
    /// let app = App::new(Profile::default)
    ///     .field("name", |state| &mut state.name)
    ///     .field("age", |state| &mut state.age);
    /// # let _ = app;
    /// ```
    pub fn field<T: DeserializeOwned + 'static>(self, path: &'static str, f: fn(&mut S) -> &mut T) -> Self
    where
        M: Describes<T>,
    {
        let write: Write<S> = Box::new(move |state, _, value| {
            *f(state) = serde_json::from_str(value).map_err(Refusal::Payload)?;
            Ok(())
        });
        let (rows, value) = (Described::default(), M::described());
        let places = unnested(path);
        self.declare(path, places, |path, places| Field { path, places, keys: Keys::None, write, rows, value })
    }

    /// Lets pages write to a field of each row of a list; a row is found by the value of its field `key`, never by its
    /// place, which may have changed meanwhile.
    ///
    /// The path names members only: `"todos.text"` is the text of each row of `todos`, and `"todos"` alone each of its rows
    /// whole. The row stands before the last name; [`App::nested_field`] can say another place. A row that `f` does not find
    /// is refused as `gone`.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Serialize)]
    /// struct Todo { id: u64, text: String }
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Todos { todos: Vec<Todo> }
    ///
    /// let app = App::new(Todos::default).row_field("todos.text", "id", |state, id: &u64| {
    ///     state.todos.iter_mut().find(|todo| todo.id == *id).map(|todo| &mut todo.text)
    /// });
    /// # let _ = app;
    /// ```
    pub fn row_field<K: DeserializeOwned + 'static, T: DeserializeOwned + 'static>(
        self,
        path: &'static str,
        key: &'static str,
        f: for<'a> fn(&'a mut S, &K) -> Option<&'a mut T>,
    ) -> Self
    where
        M: Describes<K> + Describes<T>,
    {
        let places = unnested(path).and_then(|mut places| {
            if !is_name(key) {
                return Err(format!("\"{key}\" cannot be the key of a row"));
            }
            places.insert(usize::max(places.len() - 1, 1), Place::Row(key));
            Ok(places)
        });
        let (rows, value) = (<M as Describes<K>>::described(), <M as Describes<T>>::described());
        let write = in_row(f);
        self.declare(path, places, |path, places| Field { path, places, keys: Keys::One, write, rows, value })
    }

    /// Lets pages write to a field of rows within rows: of each card of each column, say.
    ///
    /// The path says where the rows stand and what tells them apart: in `"columns[id].cards[id].text"` each `[…]` is a row of
    /// the list in front of it, by the name of its key. `f` gets a tuple with a key for each, the outermost first, and finds
    /// the field; when it does not, the write is refused as `gone`. Up to four rows deep; what is too deep for that is an
    /// action's.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Board { columns: Vec<Column> }
    ///
    /// #[derive(Clone, Serialize)]
    /// struct Column { id: u64, cards: Vec<Card> }
    ///
    /// #[derive(Clone, Serialize)]
    /// struct Card { id: u64, text: String }
    ///
    /// let app = App::new(Board::default).nested_field(
    ///     "columns[id].cards[id].text",
    ///     |board, (column, card): &(u64, u64)| {
    ///         let column = board.columns.iter_mut().find(|one| one.id == *column)?;
    ///         column.cards.iter_mut().find(|one| one.id == *card).map(|card| &mut card.text)
    ///     },
    /// );
    ///
    /// let mut t = app.test();
    /// let cards = vec![Card { id: 7, text: "rope".into() }];
    /// t.update(move |board, _cx| board.columns.push(Column { id: 1, cards }));
    /// let path = serde_json::json!(["columns", { "id": 1 }, "cards", { "id": 7 }, "text"]);
    /// t.send("$set", serde_json::json!({ "path": path, "value": "tar" }));
    /// assert_eq!(t.state().columns[0].cards[0].text, "tar");
    /// ```
    ///
    /// In the page that is `w-model` within a `w-each` within another:
    ///
    /// ```html
    /// <template w-each="column of columns" w-key="column.id"><ul>
    ///   <template w-each="card of column.cards" w-key="card.id"><li><input w-model="card.text"></li></template>
    /// </ul></template>
    /// ```
    pub fn nested_field<K: RowKeys, T: DeserializeOwned + 'static>(
        self,
        path: &'static str,
        f: for<'a> fn(&'a mut S, &K) -> Option<&'a mut T>,
    ) -> Self
    where
        M: Describes<K> + Describes<T>,
    {
        let places = parse(path).and_then(|places| {
            let rows = places.iter().filter(|place| matches!(place, Place::Row(_))).count();
            match rows == K::ROWS {
                true => Ok(places),
                false => {
                    Err(format!("it goes through {rows} rows, each a `[…]`, and its function takes {} keys", K::ROWS))
                }
            }
        });
        let (rows, value) = (<M as Describes<K>>::described(), <M as Describes<T>>::described());
        let write = in_row(f);
        self.declare(path, places, |path, places| Field { path, places, keys: Keys::Tuple, write, rows, value })
    }

    fn declare(
        mut self,
        path: &'static str,
        places: Result<Vec<Place<'static>>, String>,
        field: impl FnOnce(&'static str, Vec<Place<'static>>) -> Field<S>,
    ) -> Self {
        match places {
            Ok(places) => {
                let shapes = |places: &[Place<'static>]| places.iter().map(shape).collect::<Vec<_>>();
                let shape_of_it = shapes(&places);
                if self.fields.iter().any(|known| shapes(&known.places) == shape_of_it) {
                    self.problems.push(format!("the field \"{path}\" is declared twice"));
                }
                self.fields.push(field(path, places));
            }
            Err(why) => self.problems.push(format!("\"{path}\" cannot be a field: {why}")),
        }
        self
    }
}

/// Rows of one list are the same place, whatever tells them apart.
fn shape(place: &Place<'static>) -> Option<&'static str> {
    match place {
        Place::Member(name) => Some(name),
        Place::Row(_) => None,
    }
}

fn in_row<S: State, K: DeserializeOwned + 'static, T: DeserializeOwned + 'static>(
    f: for<'a> fn(&'a mut S, &K) -> Option<&'a mut T>,
) -> Write<S> {
    Box::new(move |state, keys, value| {
        let keys = serde_json::from_str(keys).map_err(Refusal::Payload)?;
        let value = serde_json::from_str(value).map_err(Refusal::Payload)?;
        *f(state, &keys).ok_or(Refusal::Gone)? = value;
        Ok(())
    })
}

/// A path of members alone.
fn unnested(path: &'static str) -> Result<Vec<Place<'static>>, String> {
    let places = parse(path)?;
    match places.iter().all(|place| matches!(place, Place::Member(_))) {
        true => Ok(places),
        false => Err("a path with `[…]` is declared with `App::nested_field`".to_owned()),
    }
}

/// The steps of `columns[id].cards[id].text`.
fn parse(path: &'static str) -> Result<Vec<Place<'static>>, String> {
    let mut places = Vec::new();
    for part in path.split('.') {
        let (name, key) = match part.split_once('[') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(']').unwrap_or_default())),
            None => (part, None),
        };
        if !is_name(name) || name.starts_with('$') || key.is_some_and(|key| !is_name(key)) {
            return Err(format!(
                "\"{part}\" is none of its steps: names with dots between, no $ in front, \
                 and in `App::nested_field` a row as in \"todos[id].text\""
            ));
        }
        places.push(Place::Member(name));
        places.extend(key.map(Place::Row));
    }
    Ok(places)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['[', ']'])
}

/// A path as it would be declared.
fn shown(places: &[Place<'_>]) -> String {
    let mut text = String::new();
    for place in places {
        match place {
            Place::Member(name) if text.is_empty() => text.push_str(name),
            Place::Member(name) => text.extend([".", name]),
            Place::Row(key) => text.extend(["[", key, "]"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_path_says_where_its_rows_stand() {
        use Place::{Member as member, Row as row};
        assert_eq!(parse("text").unwrap(), [member("text")]);
        assert_eq!(
            parse("a.columns[id].cards[name].text").unwrap(),
            [member("a"), member("columns"), row("id"), member("cards"), row("name"), member("text")]
        );
        assert_eq!(parse("todos[id]").unwrap(), [member("todos"), row("id")]);
        assert_eq!(shown(&parse("a.columns[id].text").unwrap()), "a.columns[id].text");
    }

    #[test]
    fn what_is_no_path_says_which_step_is_wrong() {
        for (path, step) in [
            ("", ""),
            ("a..b", ""),
            ("$jobs.id", "$jobs"),
            ("a.$b", "$b"),
            ("[id].text", "[id]"),
            ("a[].text", "a[]"),
            ("a[id.text", "a[id"),
            ("aid].text", "aid]"),
            ("a[id]x.text", "a[id]x"),
            ("a[id][id].text", "a[id][id]"),
            ("a[b.c].text", "a[b"),
        ] {
            let error = parse(path).unwrap_err();
            assert!(error.starts_with(&format!("\"{step}\" is none of its steps")), "{path}: {error}");
        }
    }
}
