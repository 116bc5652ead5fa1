//! Serves apps of docs/guide, each on a port of its own: `guide FOLDER counter=counter list=todos`.
//!
//! `list=todos` is the page in `FOLDER/list`, shown by the app whose listings are `app=todos`. A line says where each is:
//! `list listening on http://127.0.0.1:40123`. SIGTERM ends all of them as it ends any server.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::Context as _;

/// An app with its listener, and what serves it.
struct Served {
    addr: SocketAddr,
    run: Pin<Box<dyn Future<Output = windlass::Result> + Send>>,
}

/// A macro, since each app has another state.
macro_rules! serve {
    ($app:expr, $page:expr) => {{
        let server = $app.page($page).bind("127.0.0.1:0").await?;
        Ok(super::Served { addr: server.addr(), run: Box::pin(server.run()) })
    }};
}
use serve;

include!(concat!(env!("OUT_DIR"), "/apps.rs"));

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("the first argument is the folder of the pages")?;
    let mut serving = Vec::new();
    for argument in arguments {
        let (name, app) = argument.split_once('=').context("write page=app")?;
        // A page lives as long as its server, which is as long as the process.
        let page = windlass::Page { folder: format!("{folder}/{name}").leak(), embedded: |_| None };
        let served = serve_app(app, page).await.map_err(|error| anyhow::anyhow!("{argument}: {}", error.text))?;
        println!("{name} listening on http://{}", served.addr);
        serving.push(tokio::spawn(served.run));
    }
    for server in serving {
        server.await?.map_err(|error| anyhow::anyhow!("{}", error.text))?;
    }
    Ok(())
}
