//! What an app knows of the types that cross the wire, and the TypeScript declarations made of that.
//!
//! An app is [`Untyped`] until `App::typed` is called; from then on each action, query and field needs a payload, a reply
//! or a value that has a TypeScript type, so that what was forgotten is an error of the compiler, and not an `unknown` in
//! the file.

use crate::Result;
use crate::program::{State, View, Walks};
use crate::{App, Outcome};

/// An app whose types no page is told: what every app is before `App::typed` is called on it.
///
/// ```
/// use windlass::{App, Untyped, Whole};
/// # #[derive(Clone, Default, windlass::prelude::Serialize)] struct Counter { count: u64 }
///
/// let app: App<Counter, Whole, Untyped> = App::new(Counter::default);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Untyped {}

/// That an app of this kind can tell a page what `T` is. Every [`Untyped`] one can, by telling nothing.
///
/// For whoever adds actions to an app of either kind.
///
/// ```
/// use windlass::{App, Describes, DescribesReply, Untyped, Whole};
/// # #[derive(Clone, Default, windlass::prelude::Serialize)] struct Counter { count: u64 }
///
/// fn with_add<M: Describes<u64> + DescribesReply<()>>(app: App<Counter, Whole, M>) -> App<Counter, Whole, M> {
///     app.action("add", |state: &mut Counter, _cx, by: u64| state.count += by)
/// }
///
/// let app: App<Counter, Whole, Untyped> = with_add(App::new(Counter::default));
/// ```
#[diagnostic::on_unimplemented(
    message = "the app is typed, and `{T}` has no TypeScript type",
    label = "derive `TS` for `{T}`",
    note = "`#[derive(TS)]` comes with `windlass::prelude`; the crate `ts-rs` has to be a dependency, as `serde` is"
)]
pub trait Describes<T> {
    #[doc(hidden)]
    fn described() -> Described;
}

/// That an app of this kind can tell a page what a handler answers.
///
/// ```
/// fn is_told<M: windlass::DescribesReply<windlass::Result>>() {}
///
/// is_told::<windlass::Untyped>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the app is typed, and what `{O}` answers has no TypeScript type",
    label = "derive `TS` for the type in the `Reply`"
)]
pub trait DescribesReply<O: Outcome> {
    #[doc(hidden)]
    fn described_reply() -> Described;
}

impl<T> Describes<T> for Untyped {
    fn described() -> Described {
        Described::default()
    }
}

impl<O: Outcome> DescribesReply<O> for Untyped {
    fn described_reply() -> Described {
        Described::default()
    }
}

/// The TypeScript type of something, when it is known.
#[derive(Clone, Copy, Default)]
pub struct Described {
    #[cfg(feature = "types")]
    collect: Option<typed::Collect>,
    is_nothing: bool,
}

impl Described {
    /// It is known, and it is no answer.
    pub(crate) fn is_nothing(&self) -> bool {
        self.is_nothing
    }
}

/// What a typed app knows besides the types of its actions and fields.
pub(crate) struct AppTypes<S> {
    #[cfg(feature = "types")]
    typed: Option<typed::StateType>,
    #[cfg(feature = "types")]
    events: Vec<(&'static str, Described)>,
    state: std::marker::PhantomData<fn() -> S>,
}

impl<S> Default for AppTypes<S> {
    fn default() -> Self {
        Self {
            #[cfg(feature = "types")]
            typed: None,
            #[cfg(feature = "types")]
            events: Vec::new(),
            state: std::marker::PhantomData,
        }
    }
}

impl<S> AppTypes<S> {
    /// The names of the events that were declared, of a typed app.
    pub(crate) fn events(&self) -> Option<Vec<&'static str>> {
        #[cfg(feature = "types")]
        return self.typed.as_ref().map(|_| self.events.iter().map(|(name, _)| *name).collect());
        #[cfg(not(feature = "types"))]
        None
    }
}

/// Where the declarations are written to, instead of serving.
const VARIABLE: &str = "WINDLASS_TYPES";

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// With `WINDLASS_TYPES=path` in the environment, writes the declarations there and ends the process.
    pub(crate) fn write_types(&self, walks: &Walks<S>) -> Result {
        let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return Ok(()) };
        self.write_types_to(std::path::Path::new(&path), walks)?;
        println!("wrote {}", path.display());
        std::process::exit(0)
    }

    #[cfg(not(feature = "types"))]
    fn write_types_to(&self, _: &std::path::Path, _: &Walks<S>) -> Result {
        Err(crate::Error::internal(format!(
            "{VARIABLE}: the app was built without its types: add the feature `types` to its dependency `windlass`"
        )))
    }
}

#[cfg(feature = "types")]
mod typed {
    use std::any::{TypeId, type_name};
    use std::collections::HashSet;
    use std::marker::PhantomData;
    use std::path::Path;

    use ts_rs::{Config, TS, TypeVisitor};
    use windlass_engine::Mode;
    use windlass_protocol::Place;
    use windlass_types::{Action, Declarations, Description, Field, Literal, Member, Step, Type};

    use super::{Described, Describes, DescribesReply, Untyped, VARIABLE};
    use crate::program::{self, State, View, Walks};
    use crate::{App, Error, Outcome, Reply, Result, Updating, fields};

    /// An app that can tell its page all types that cross the wire. See [`App::typed`].
    #[derive(Clone, Copy, Debug)]
    pub enum Typed {}

    /// Says what a type is, and declares those that it names.
    pub(super) type Collect = fn(&mut Collector) -> Result<Type>;

    /// The view's type as it was said.
    pub(super) struct StateType {
        collect: Collect,
        name: &'static str,
    }

    impl<T: TS + 'static> Describes<T> for Typed {
        fn described() -> Described {
            Described { collect: Some(Collector::collect::<T>), is_nothing: false }
        }
    }

    impl DescribesReply<()> for Typed {
        fn described_reply() -> Described {
            Described { collect: Some(|_| Ok(Type::Null)), is_nothing: true }
        }
    }

    impl DescribesReply<Updating> for Typed {
        fn described_reply() -> Described {
            <Self as DescribesReply<()>>::described_reply()
        }
    }

    impl<T: TS + serde::Serialize + 'static> DescribesReply<Reply<T>> for Typed {
        fn described_reply() -> Described {
            <Self as Describes<T>>::described()
        }
    }

    impl<O: Outcome, E: Into<Error>> DescribesReply<Result<O, E>> for Typed
    where
        Typed: DescribesReply<O>,
    {
        fn described_reply() -> Described {
            <Self as DescribesReply<O>>::described_reply()
        }
    }

    impl<S: State, V: View<S>> App<S, V, Untyped> {
        /// From here on every action, query and field is typed: `windlass types` writes a `.d.ts` of them and of the state,
        /// against which an editor, `tsc` and `windlass check` hold the page.
        ///
        /// The state and all payloads, replies and values derive `TS`; one that does not is an error of the compiler. What
        /// was registered before is `unknown` in the file, so that a large app may come to it action by action. A page
        /// that sees a [`View`] needs [`App::typed_as`].
        ///
        /// ```
        /// use windlass::prelude::*;
        ///
        /// #[derive(Clone, Default, Serialize, TS)]
        /// struct Counter { count: i64 }
        ///
        /// let app = App::new(Counter::default)
        ///     .typed()
        ///     .action("add", |state, _cx, by: i64| state.count += by)
        ///     .query("is_even", |state, (): ()| Reply(state.count % 2 == 0));
        ///
        /// let types = app.types()?;
        /// assert!(types.contains("count: number;"));
        /// assert!(types.contains("add(payload: number): null;"));
        /// # Ok::<(), Error>(())
        /// ```
        pub fn typed(self) -> App<S, V, Typed>
        where
            S: TS,
        {
            self.typed_as::<S>()
        }

        /// As [`App::typed`], of an app with a view: `T` is the type of what the view gives. [`App::types`] gives an error
        /// when the view gives another one.
        ///
        /// ```
        /// use windlass::prelude::*;
        ///
        /// #[derive(Clone, Default)]
        /// struct Words(Vec<String>);
        ///
        /// #[derive(Serialize, TS)]
        /// struct Shown<'a> { words: &'a [String], count: usize }
        ///
        /// struct Page;
        /// impl View<Words> for Page {
        ///     fn view(words: &Words) -> impl Serialize + '_ {
        ///         Shown { words: &words.0, count: words.0.len() }
        ///     }
        /// }
        ///
        /// let app = App::new(Words::default).view(Page).typed_as::<Shown>();
        /// assert!(app.types()?.contains("words: string[];"));
        /// # Ok::<(), Error>(())
        /// ```
        pub fn typed_as<T: TS + 'static>(mut self) -> App<S, V, Typed> {
            self.types.typed = Some(StateType { collect: Collector::collect::<T>, name: type_name::<T>() });
            self.become_another()
        }
    }

    impl<S: State, V: View<S>> App<S, V, Typed> {
        /// Declares an event of the app's own, with the type of its value: what [`Cx::emit`](crate::Cx::emit) tells pages.
        ///
        /// In development a typed app emits no others.
        ///
        /// ```
        /// # use windlass::prelude::*;
        /// # #[derive(Clone, Default, Serialize, TS)] struct Shop { open: bool }
        /// #[derive(Serialize, TS)]
        /// struct Closed { at: u64 }
        ///
        /// let app = App::new(Shop::default).typed().event::<Closed>("closed").action("close", |shop, cx, ()| {
        ///     shop.open = false;
        ///     cx.emit("closed", &Closed { at: 18 })
        /// });
        /// assert!(app.types()?.contains("closed: Closed;"));
        /// # Ok::<(), Error>(())
        /// ```
        pub fn event<T: TS + 'static>(mut self, name: &'static str) -> Self {
            if self.types.events.iter().any(|(known, _)| *known == name) {
                self.problems.push(format!("the event \"{name}\" is declared twice"));
            }
            self.types.events.push((name, <Typed as Describes<T>>::described()));
            self
        }

        /// The TypeScript declarations of all that a page may rely on, as `windlass types` writes them; the same text
        /// for the same app, so that a test can compare it with the file.
        ///
        /// # Errors
        ///
        /// When the view gives another type than [`App::typed_as`] says; when the initial state is not what its type says, as
        /// when a hand-written `Serialize` does otherwise; when two types have one name; when a declared field is not in
        /// the state.
        pub fn types(&self) -> Result<String> {
            self.described(&Walks::of::<V>(PhantomData))
        }
    }

    impl<S: State, V: View<S>, M> App<S, V, M> {
        pub(super) fn write_types_to(&self, path: &Path, walks: &Walks<S>) -> Result {
            let text = self.described(walks)?;
            std::fs::write(path, text)
                .map_err(|error| Error::internal(format!("{VARIABLE}: {} cannot be written: {error}", path.display())))
        }

        fn described(&self, walks: &Walks<S>) -> Result<String> {
            let Some(typed) = &self.types.typed else {
                return Err(Error::internal("the app tells no types: add `.typed()` after `App::new`"));
            };
            let mut collector = Collector::default();
            let state = (typed.collect)(&mut collector)?;
            self.compare(typed, walks)?;
            let mut description = Description { state: Some(state.clone()), ..Description::default() };
            for action in self.actions.iter().filter(|action| !action.name.starts_with('$')) {
                description.actions.insert(action.name.to_owned(), collector.action(action)?);
            }
            for field in &self.fields {
                description.fields.insert(field.path.to_owned(), collector.field(field, &state)?);
            }
            for (name, event) in &self.types.events {
                description.events.insert((*name).to_owned(), collector.known(event)?);
            }
            description.jobs = self.callbacks.keys().map(|name| (*name).to_owned()).collect();
            #[cfg(unix)]
            description.jobs.extend(self.commands.iter().map(|(name, _)| (*name).to_owned()));
            description.jobs.sort();
            description.declarations = collector.finish(&state)?;
            let value = walks.value(&(self.init)())?;
            description
                .declarations
                .hold(&value, &state)
                .map_err(|mismatch| Error::internal(format!("in the initial state {mismatch}")))?;
            Ok(description.to_string())
        }

        /// Compares the view's type with what `typed_as` says.
        fn compare(&self, typed: &StateType, walks: &Walks<S>) -> Result {
            // A view may give a reference to what it shows.
            let is = (walks.name)(&(self.init)()).trim_start_matches('&');
            if is == typed.name {
                return Ok(());
            }
            let said = typed.name;
            Err(Error::internal(format!("the view gives a `{is}`, not a `{said}`: write `.typed_as::<{is}>()`")))
        }
    }

    /// Goes through types, and keeps the declarations of those that have names.
    #[derive(Default)]
    pub(super) struct Collector {
        declarations: Declarations,
        seen: HashSet<TypeId>,
        problem: Option<Error>,
    }

    impl Collector {
        fn collect<T: TS + 'static>(&mut self) -> Result<Type> {
            self.visit::<T>();
            let ty: Type = T::name(&config()).parse().map_err(unreadable::<T>)?;
            match self.problem.take() {
                Some(problem) => Err(problem),
                None => Ok(without_private(&ty)),
            }
        }

        /// What is described, or unknown.
        fn known(&mut self, described: &Described) -> Result<Type> {
            described.collect.map_or(Ok(Type::Unknown), |collect| collect(self))
        }

        fn action<S: State>(&mut self, action: &program::Action<S>) -> Result<Action> {
            let mut docs = Vec::new();
            match action.mode {
                Mode::Query => docs.push("Changes nothing."),
                Mode::Async => docs.push("Is answered when it is through, and holds up nothing."),
                Mode::Atomic | Mode::InPlace => {}
            }
            if action.only_if_seen {
                docs.push("Is refused as `stale` when the page has not seen all that it was told.");
            }
            if action.secret {
                docs.push("Its payload is kept nowhere.");
            }
            if action.saved {
                docs.push("Is answered when it is on disk.");
            }
            let docs = (!docs.is_empty()).then(|| docs.join(" "));
            Ok(Action { payload: self.known(&action.payload)?, reply: self.known(&action.reply)?, docs })
        }

        fn field<S: State>(&mut self, field: &fields::Field<S>, state: &Type) -> Result<Field> {
            let text = |text: &str| Type::Literal(Literal::String(text.to_owned()));
            let rows = field.places.iter().filter(|place| matches!(place, Place::Row(_))).count();
            let mut keys = match (field.keys, self.known(&field.rows)?) {
                (fields::Keys::Tuple, Type::Tuple(keys)) => keys,
                (_, key) => vec![key; rows],
            }
            .into_iter();
            let mut at = state.clone();
            let mut path = Vec::new();
            for place in &field.places {
                at = match place {
                    Place::Member(member) => {
                        path.push(text(member));
                        match self.declarations.step(&at, member) {
                            Step::To(ty) => ty,
                            Step::Nothing(known) => {
                                let (path, known) = (field.path, known.join(", "));
                                let text =
                                    format!("the field \"{path}\": there is no \"{member}\" in the view, but {known}");
                                return Err(Error::internal(text));
                            }
                        }
                    }
                    Place::Row(key) => {
                        let ty = keys.next().unwrap_or(Type::Unknown);
                        path.push(Type::Object(vec![Member::new(*key, ty)], None));
                        let Some(element) = self.declarations.element(&at) else {
                            let text =
                                format!("the field \"{}\" has a row where the view has {at}, no list", field.path);
                            return Err(Error::internal(text));
                        };
                        element
                    }
                };
            }
            let value = self.known(&field.value)?;
            if !self.declarations.may_be(&value, &at) {
                let path = field.path;
                let text = format!("the field \"{path}\" takes {value}, and is {at} in the view");
                return Err(Error::internal(text));
            }
            Ok(Field { path: Type::Tuple(path), value })
        }

        /// The declarations, without what never leaves the server.
        fn finish(self, state: &Type) -> Result<Declarations> {
            for name in Description::RESERVED {
                let is_state = name == "State" && matches!(state, Type::Named(named, _) if named == name);
                if self.declarations.get(name).is_some() && !is_state {
                    return Err(Error::internal(format!(
                        "a type is called {name}, which the file itself declares: give it another name with #[ts(rename = \"…\")]"
                    )));
                }
            }
            Ok(self.declarations.map(&without_private))
        }
    }

    impl TypeVisitor for Collector {
        fn visit<T: TS + 'static + ?Sized>(&mut self) {
            if !self.seen.insert(TypeId::of::<T>()) {
                return;
            }
            if T::output_path().is_some() {
                let docs = T::docs().map(|docs| plain(&docs));
                if let Err(error) = self.declarations.add(&T::decl(&config()), docs) {
                    self.problem.get_or_insert_with(|| unreadable::<T>(error));
                }
            }
            T::visit_dependencies(self);
            T::visit_generics(self);
        }
    }

    /// A page reads every number as a double.
    fn config() -> Config {
        Config::new().with_large_int("number")
    }

    fn unreadable<T: ?Sized>(error: windlass_types::ParseError) -> Error {
        Error::internal(format!("the type `{}`: {error}", type_name::<T>()))
    }

    /// The text of a documentation comment.
    fn plain(docs: &str) -> String {
        let lines = docs.trim().trim_start_matches("/**").trim_end_matches("*/").trim().lines();
        let lines = lines.map(|line| line.trim().trim_start_matches('*').trim());
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// What is private is null to a page, which needs not know of it.
    fn without_private(ty: &Type) -> Type {
        let is_private = |ty: &Type| matches!(ty, Type::Named(name, _) if name == "Private");
        let ty = ty.without_members(&|member| is_private(&member.ty));
        ty.substitute(&|name| (name == "Private").then_some(Type::Null))
    }
}

#[cfg(feature = "types")]
pub use typed::Typed;
