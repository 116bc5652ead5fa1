//! The Windlass protocol as types: what a client and a server say to each other.
//!
//! Decodes what clients send ([`ClientMessage`]), writes what servers send ([`frame`]) in either
//! [`Dialect`], and names every close code and limit. `protocol.md` at the top of the repository is the specification.
//! Performs no I/O and reads no clock; bytes from a peer never panic.
//!
//! ```
//! use windlass_protocol::ClientMessage;
//!
//! let message = ClientMessage::decode(r#"["a",1,"add",2]"#).unwrap();
//! let ClientMessage::Action(action) = message else { panic!("an action") };
//! assert_eq!((action.seq.0, &*action.name, action.payload.get()), (1, "add", "2"));
//! ```

pub mod close;
mod dialect;
pub mod frame;
pub mod ids;
pub mod json_patch;
pub mod limits;
mod message;
mod object;
pub mod ops;
mod set;

pub use close::{Close, CloseCode};
pub use dialect::Dialect;
pub use ids::{ChildId, ClientId, Epoch, EventId, FrameNumber, JobId, Secret, Seq, SessionId, Token};
pub use message::{Action, ClientMessage, DecodeError, Hello};
pub use set::{Place, Set, Step};
