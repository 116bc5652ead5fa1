//! A proxy between a client and a server, whose connections can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Changes with each cut.
    cuts: watch::Sender<u64>,
}

struct State {
    target: SocketAddr,
    refuses: bool,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { target, refuses: false }));
        let (cuts, cut) = watch::channel(0);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (target, refuses) = {
                    let state = shared.lock().unwrap();
                    (state.target, state.refuses)
                };
                if !refuses {
                    tokio::spawn(carry(stream, target, cut.clone()));
                }
            }
        });
        Self { address, state, cuts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection in the middle of whatever it carries.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts, and lets no connection through.
    pub(crate) fn refuse(&self) {
        self.state.lock().unwrap().refuses = true;
        self.cut();
    }

    /// Lets connections through again.
    pub(crate) fn accept(&self) {
        self.state.lock().unwrap().refuses = false;
    }

    /// New connections go to another server.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = target;
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    // A server that is gone ends the connection as well.
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.changed() => {}
    }
}
