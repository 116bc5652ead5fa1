//! Declared fields: the places of the state that a page may write to by itself.

use serde::de::DeserializeOwned;
use windlass_protocol::Set;

use crate::program::{Refusal, State, View};
use crate::types::{Described, Describes};
use crate::{App, Error, Result};

/// A field that a page may write to.
pub(crate) struct Field<S: State> {
    /// As it was declared.
    pub(crate) path: &'static str,
    pub(crate) members: Vec<&'static str>,
    /// The field that tells rows apart, when it is in a row.
    pub(crate) key: Option<&'static str>,
    write: Write<S>,
    /// The types of the key and of what is written, when the app is typed.
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) row: Described,
    #[cfg_attr(not(feature = "types"), allow(dead_code, reason = "only typed apps ask"))]
    pub(crate) value: Described,
}

/// Puts a value there; the key of the row comes first.
type Write<S> = Box<dyn Fn(&mut S, &str, &str) -> Result<(), Refusal> + Send + Sync>;

impl<S: State> Field<S> {
    fn new(path: &'static str, key: Option<&'static str>, write: Write<S>) -> Self {
        let (row, value) = (Described::default(), Described::default());
        Self { path, members: path.split('.').collect(), key, write, row, value }
    }

    pub(crate) fn is(&self, set: &Set<'_>) -> bool {
        set.is(&self.members, self.key)
    }

    pub(crate) fn write(&self, set: &Set<'_>, state: &mut S) -> Result<(), Refusal> {
        (self.write)(state, set.row().map_or("null", |row| row.get()), set.value.get())
    }

    fn same(&self, other: &Self) -> bool {
        self.path == other.path && self.key.is_some() == other.key.is_some()
    }
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
    pub(crate) key: Option<&'a str>,
}

impl Written<'_> {
    /// The path, as it was declared.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The key of the row that it is in.
    ///
    /// # Errors
    ///
    /// When it is in no row, or the key is of another type.
    pub fn key<K: DeserializeOwned>(&self) -> Result<K> {
        let key = self.key.ok_or_else(|| Error::internal(format!("the field \"{}\" is in no row", self.path)))?;
        Ok(serde_json::from_str(key)?)
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
        self.declare(Field { value: M::described(), ..Field::new(path, None, write) })
    }

    /// Lets pages write to a field of each row of a list; a row is found by the value of its field `key`, never by its
    /// place, which may have changed meanwhile.
    ///
    /// The path names members only: `"todos.text"` is the text of each row of `todos`. A row that `f` does not find is
    /// refused as `gone`.
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
        let write: Write<S> = Box::new(move |state, row, value| {
            let row = serde_json::from_str(row).map_err(Refusal::Payload)?;
            let value = serde_json::from_str(value).map_err(Refusal::Payload)?;
            *f(state, &row).ok_or(Refusal::Gone)? = value;
            Ok(())
        });
        let (row, value) = (<M as Describes<K>>::described(), <M as Describes<T>>::described());
        self.declare(Field { row, value, ..Field::new(path, Some(key), write) })
    }

    fn declare(mut self, field: Field<S>) -> Self {
        if field.members.iter().any(|member| member.is_empty() || member.starts_with('$')) {
            let path = field.path;
            self.problems.push(format!("\"{path}\" cannot be a field: names with dots between, no $ in front"));
        }
        if self.fields.iter().any(|known| known.same(&field)) {
            self.problems.push(format!("the field \"{}\" is declared twice", field.path));
        }
        self.fields.push(field);
        self
    }
}
