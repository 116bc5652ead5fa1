//! One change to each of a thousand sessions, against the same bytes written to a thousand bare sockets.
//!
//! The baseline holds TCP sockets and writes each the finished WebSocket frame in one loop: no task a
//! socket, no encoding, no state. Both servers live through the whole run on the same core and are
//! told to go by a line on their standard input; a change has ended when every page has its frame.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async_with_config;
use windlass::prelude::{App, Serialize};

use crate::child::{self, Server};
use crate::pairs::{PAIRS, Spread, ours_first};
use crate::peer::{Dialect, Peer, socket_options};
use crate::report::Report;
use crate::{Result, machine};

const SESSIONS: usize = 1_000;
/// Long enough that a timer tick or a page fault is noise.
const SLICE: Duration = Duration::from_secs(1);
/// CPU time a change, of the bare sockets'.
const RATIO_MAX: f64 = 1.3;

#[derive(Clone, Default, Serialize)]
struct Counter {
    count: u64,
}

/// Adds one to the count of every session on each order.
pub(crate) async fn serve_windlass() -> Result<()> {
    let server = App::new(Counter::default).bind("127.0.0.1:0").await.map_err(|error| format!("{error:?}"))?;
    println!("listening on http://{}", server.addr());
    let (live, mut orders) = (server.live().clone(), child::orders());
    tokio::spawn(async move {
        while orders.recv().await.is_some() {
            live.broadcast(|state, _cx| state.count += 1);
        }
    });
    server.run().await.map_err(|error| format!("{error:?}").into())
}

/// Writes the same frame to every socket on each order.
pub(crate) async fn serve_bare() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut orders = child::orders();
    let mut sockets: Vec<TcpStream> = Vec::new();
    let mut count = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let stream = accepted?.0;
                stream.set_nodelay(true)?;
                sockets.push(accept_async_with_config(stream, Some(socket_options())).await?.into_inner());
            }
            order = orders.recv() => {
                if order.is_none() {
                    return Ok(());
                }
                count += 1;
                let text = serde_json::to_string(&("d", count + 1, 0, [("count", count)]))?;
                let mut frame = vec![0x81, u8::try_from(text.len())?];
                frame.extend_from_slice(text.as_bytes());
                for socket in &mut sockets {
                    socket.write_all(&frame).await?;
                }
            }
        }
    }
}

pub(crate) fn run() -> Result<Report> {
    machine::raise_open_files()?;
    let cores = machine::cores()?;
    let (server_core, generator_core) = (cores[0], *cores.last().expect("there is a core that runs this"));
    let mut ours = Server::start("broadcast-windlass", server_core)?;
    let mut theirs = Server::start("broadcast-bare", server_core)?;
    machine::pin(generator_core)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut pages = Pages::connect(&ours, Dialect::Windlass).await?;
        let mut sockets = Pages::connect(&theirs, Dialect::Echo).await?;
        pages.slice(&mut ours).await?;
        sockets.slice(&mut theirs).await?;
        let mut pairs = Vec::with_capacity(PAIRS);
        for pair in 0..PAIRS {
            eprintln!("pair {} of {PAIRS}", pair + 1);
            let first = if ours_first(pair) { Some(pages.slice(&mut ours).await?) } else { None };
            let bare = sockets.slice(&mut theirs).await?;
            let windlass = match first {
                Some(first) => first,
                None => pages.slice(&mut ours).await?,
            };
            pairs.push([windlass, bare]);
        }
        let mut report = Report::of("broadcast-own");
        for (name, budget, of) in [
            ("cpu_us", Some(RATIO_MAX), (|slice| slice.cpu) as fn(&Slice) -> f64),
            ("last_frame_us", None, |slice| slice.wall),
        ] {
            let ratio = Spread::of(pairs.iter().map(|[ours, theirs]| of(ours) / of(theirs)));
            match budget {
                Some(budget) => report.at_most(&format!("{name}_ratio"), ratio, budget),
                None => report.spread(&format!("{name}_ratio"), ratio),
            }
            report.spread(name, Spread::of(pairs.iter().map(|[ours, _]| of(ours))));
            report.spread(&format!("{name}_bare"), Spread::of(pairs.iter().map(|[_, theirs]| of(theirs))));
        }
        Ok(report)
    })
}

/// What one change cost in a slice, in microseconds.
struct Slice {
    /// CPU time of the server.
    cpu: f64,
    /// From the order to the last page's frame, in the median.
    wall: f64,
}

/// A thousand pages, each with a task that reads.
struct Pages {
    /// One item for each frame that came, or why a page could not go on.
    came: mpsc::Receiver<Result<()>>,
    /// Tells the pages that a slice has ended.
    rest: tokio::sync::watch::Sender<()>,
    count: u64,
}

impl Pages {
    async fn connect(server: &Server, dialect: Dialect) -> Result<Self> {
        let (frames, came) = mpsc::channel(SESSIONS);
        let (rest, resting) = tokio::sync::watch::channel(());
        for number in 0..SESSIONS {
            let peer = Peer::connect(&server.address, dialect, number).await?;
            tokio::spawn(read(peer, dialect, frames.clone(), resting.clone()));
        }
        Ok(Self { came, rest, count: 0 })
    }

    /// Orders one change after the other for the length of a slice.
    async fn slice(&mut self, server: &mut Server) -> Result<Slice> {
        let before = server.cpu_time()?;
        let mut walls = Vec::new();
        let end = Instant::now() + SLICE;
        while Instant::now() < end {
            let began = Instant::now();
            server.order()?;
            self.count += 1;
            for _ in 0..SESSIONS {
                self.came.recv().await.ok_or("the pages ended")??;
            }
            walls.push(began.elapsed().as_nanos() as f64 / 1_000.0);
        }
        // The acks of a second, of which the bare sockets have none: their price is ours to pay.
        self.rest.send_replace(());
        for _ in 0..SESSIONS {
            self.came.recv().await.ok_or("the pages ended")??;
        }
        let cpu = server.cpu_time()?.saturating_sub(before);
        Ok(Slice { cpu: cpu.as_nanos() as f64 / 1_000.0 / walls.len() as f64, wall: Spread::of(walls).median })
    }
}

/// Reads the frames of one page, each of which must be the next.
async fn read(
    mut peer: Peer,
    dialect: Dialect,
    frames: mpsc::Sender<Result<()>>,
    mut resting: tokio::sync::watch::Receiver<()>,
) {
    loop {
        let result = tokio::select! {
            text = peer.receive() => text.and_then(|text| {
                peer.n += 1;
                let expected = format!(r#"["d",{},0,[["count",{}]]]"#, peer.n, peer.n - 1);
                if text == expected { Ok(()) } else { Err(format!("{text} is not {expected}").into()) }
            }),
            Ok(()) = resting.changed() => match dialect {
                Dialect::Windlass => peer.acknowledge().await,
                Dialect::Echo => Ok(()),
            },
        };
        let failed = result.is_err();
        if frames.send(result).await.is_err() || failed {
            return;
        }
    }
}
