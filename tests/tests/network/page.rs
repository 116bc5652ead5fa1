//! A page as these scenarios need one: the Rust client, which comes back at once, and what it was told.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::task::JoinHandle;
use windlass_client::{Builder, Client, Event, Status};

pub(crate) struct Page {
    pub(crate) client: Client,
    told: Arc<Mutex<Vec<u64>>>,
    fresh: Arc<Mutex<Vec<String>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Page {
    pub(crate) fn start(builder: Builder) -> Self {
        Self::of(builder.start().unwrap())
    }

    pub(crate) async fn connect(url: &str) -> Self {
        Self::of(Client::connect(url).await.unwrap())
    }

    fn of(client: Client) -> Self {
        let (mut events, mut status) = (client.events(), client.status_changes());
        let told: Arc<Mutex<Vec<u64>>> = Arc::default();
        let fresh: Arc<Mutex<Vec<String>>> = Arc::default();
        let (tells, freshes, back) = (Arc::clone(&told), Arc::clone(&fresh), client.clone());
        let hears = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Emit { name, value } if name == "told" => {
                        tells.lock().unwrap().push(value.as_u64().unwrap())
                    }
                    Event::Fresh { reason, .. } => freshes.lock().unwrap().push(reason),
                    Event::Lost { count } => panic!("{count} events are lost"),
                    _ => {}
                }
            }
        });
        // The backoff is the client's own test; here it would only take its time.
        let returns = tokio::spawn(async move {
            while status.changed().await.is_ok() {
                if let Status::Waiting { .. } = *status.borrow_and_update() {
                    back.retry();
                }
            }
        });
        Self { client, told, fresh, tasks: [hears, returns] }
    }

    /// What it was told so far.
    pub(crate) fn told(&self) -> Vec<u64> {
        self.told.lock().unwrap().clone()
    }

    /// Why it began afresh, each time.
    pub(crate) fn fresh(&self) -> Vec<String> {
        self.fresh.lock().unwrap().clone()
    }

    /// Waits until the document has that count.
    pub(crate) async fn counts(&self, count: u64) {
        self.client.wait_for(|document| (document["count"] == count).then_some(())).await.unwrap();
    }

    /// Waits until it was told so many, and says what.
    pub(crate) async fn hears(&self, many: usize) -> Vec<u64> {
        self.client.wait_for(|document| document["told"].as_u64().filter(|told| *told >= many as u64)).await.unwrap();
        // A frame takes effect in order: its events come right after the document.
        while self.told().len() < many {
            tokio::task::yield_now().await;
        }
        self.told()
    }

    pub(crate) fn document(&self) -> Value {
        self.client.read(Value::clone)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
