//! A page that notes what it asked for, what it was answered, and what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use windlass_client::{ActionError, ActionOptions, Builder, Client, Event, Pending, Until};

use crate::server::comes_back;

pub(crate) struct Page {
    pub(crate) client: Client,
    told: Arc<Mutex<Vec<Event>>>,
    asked: Vec<Asked>,
}

struct Asked {
    name: &'static str,
    outcome: Pending,
}

impl Page {
    pub(crate) fn start(builder: Builder) -> Self {
        let client = builder.start().unwrap();
        comes_back(&client);
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let (mut events, tells) = (client.events(), Arc::clone(&told));
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                tells.lock().unwrap().push(event);
            }
        });
        Self { client, told, asked: Vec::new() }
    }

    pub(crate) fn ask(&mut self, name: &'static str, payload: impl serde::Serialize, until: Until) {
        let options = ActionOptions { until, ..ActionOptions::default() };
        let outcome = self.client.send_with(name, &payload, options);
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.asked.push(Asked { name, outcome });
    }

    /// Waits for all outcomes, and says how many of each action were applied.
    pub(crate) async fn answered(&mut self) -> BTreeMap<&'static str, usize> {
        let mut applied = BTreeMap::new();
        for Asked { name, outcome } in self.asked.drain(..) {
            match outcome.await {
                Ok(_) => *applied.entry(name).or_default() += 1,
                // A server that goes down starts no more jobs, and says so.
                Err(ActionError::Failed { code, .. }) if name == "start_heavy" && code == "draining" => {}
                Err(ActionError::Failed { code, text, .. }) => panic!("{name}: {code}: {text}"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        applied
    }

    /// Whether the outcome that was asked for last has not come.
    pub(crate) fn has_unanswered(&mut self) -> bool {
        let last = &mut self.asked.last_mut().unwrap().outcome;
        std::pin::Pin::new(last).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    }

    pub(crate) fn document(&self) -> Value {
        self.client.read(Value::clone)
    }

    /// All that it was told.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.told.lock().unwrap().clone()
    }

    /// The texts of the notices so far, with what id they had.
    pub(crate) fn notices(&self) -> Vec<(Option<String>, String)> {
        let told = self.told.lock().unwrap();
        let notices = told.iter().filter_map(|event| match event {
            Event::Notify(notice) => Some((notice.id.clone(), notice.text.clone())),
            _ => None,
        });
        notices.collect()
    }

    /// What must not happen: events lost, another session, an action given up.
    pub(crate) fn losses(&self) -> Vec<Event> {
        let told = self.told.lock().unwrap();
        let is_loss =
            |event: &&Event| matches!(event, Event::Lost { .. } | Event::Fresh { .. } | Event::Rejected { .. });
        told.iter().filter(is_loss).cloned().collect()
    }
}

/// The document without what changes by itself.
pub(crate) fn settled(mut document: Value) -> Value {
    let jobs = document["$jobs"].take();
    let jobs: Vec<_> =
        jobs.as_array().into_iter().flatten().map(|job| (job["id"].clone(), job["status"].clone())).collect();
    document["$jobs"] = serde_json::to_value(jobs).unwrap();
    document
}
