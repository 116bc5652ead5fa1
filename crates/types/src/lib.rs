//! What an app's page may rely on, as TypeScript declarations: the state, the actions, the fields, the events.
//!
//! ts-rs says in one line what each Rust type is; this reads those lines, puts them together to a [`Description`], and
//! writes it as the `.d.ts` that a compiler and an editor read. The file is read again by `windlass check`, so that there is
//! one description and no second format. Holds JSON values against types too. Performs no I/O and knows no app.
//!
//! ```
//! use windlass_types::{Action, Declarations, Description};
//!
//! let mut description = Description::default();
//! description.declarations.add("type Todos = { titles: Array<string>, };", None)?;
//! description.state = Some("Todos".parse()?);
//! description.actions.insert("add".into(), Action::new("string".parse()?, "null".parse()?));
//! let text = description.to_string();
//! assert!(text.contains("add(payload: string): null;"));
//! assert_eq!(text.parse::<Description>()?.to_string(), text);
//! # Ok::<(), windlass_types::ParseError>(())
//! ```

mod description;
mod parse;
mod print;
mod resolve;
mod ty;
mod value;

pub use description::{Action, Description, Field};
pub use parse::ParseError;
pub use resolve::Step;
pub use ty::{Declaration, Declarations, Index, Literal, Member, Type};
pub use value::Mismatch;
