//! A TCP proxy on loopback that does to connections what bad networks do.
//!
//! It forwards bytes and understands none of them. What it does to them is scripted: a [`Plan`] says for each new
//! connection how late and in what pieces bytes come, and at which byte what [`Fault`] happens; [`Proxy::fault`] does
//! the same to those that are open, at once. Random plans come from a seed, so that what was seen can be seen again.
//!
//! `windlass proxy` is the same from the command line.
//!
//! ```
//! use windlass_proxy::{Direction, Fault, Plan, Proxy};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let server = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = Proxy::start(server.local_addr()?).await?;
//! proxy.next(Plan::default().cut(Direction::ToServer, 3, Fault::Close));
//!
//! let mut client = TcpStream::connect(proxy.addr()).await?;
//! let (mut served, _) = server.accept().await?;
//! client.write_all(b"hello").await?;
//! let mut heard = Vec::new();
//! served.read_to_end(&mut heard).await?;
//! assert_eq!(heard, b"hel");
//! # Ok(()) }
//! ```

mod link;
mod log;
mod plan;
mod proxy;
mod pump;
mod random;

pub use link::Link;
pub use log::Event;
pub use plan::{Chaos, Cut, Direction, Fault, Plan, Way};
pub use proxy::{Options, Proxy};
