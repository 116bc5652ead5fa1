//! A job as the record of its session holds it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use windlass_protocol::Epoch;

use super::{JobEntry, Named, StartOptions, millis};
use crate::Time;
use crate::record::{JobRecord, NamedRecord};

impl JobEntry {
    pub(super) fn record(&self) -> JobRecord<'_> {
        let named = self.options.named.as_ref().map(|named| NamedRecord {
            arguments: Cow::Borrowed(&*named.arguments),
            key: Cow::Borrowed(&*named.key),
            rerun_on_restart: named.rerun_on_restart,
        });
        JobRecord {
            id: self.id.to_string(),
            name: Cow::Borrowed(&self.name),
            key: self.options.key.clone(),
            status: self.status,
            waits: self.waits,
            attempt: self.attempt,
            rank: self.rank,
            eta_ms: self.eta_ms,
            elapsed_ms: self.elapsed_ms,
            progress: self.progress,
            text: self.text.as_deref().map(Cow::Borrowed),
            log: self.log.iter().map(|line| Cow::Borrowed(line.as_str())).collect(),
            hidden: self.options.hidden,
            cancellable_by_page: self.options.cancellable_by_page,
            deserted_after_ms: self.options.deserted_after.map(millis),
            ended: self.ended,
            named,
            process: self.process.as_deref().map(Cow::Borrowed),
        }
    }

    pub(super) fn restore(record: &JobRecord<'_>) -> Option<Self> {
        let named = record.named.as_ref().map(|named| Named {
            arguments: named.arguments.clone().into(),
            key: named.key.clone().into(),
            rerun_on_restart: named.rerun_on_restart,
        });
        Some(Self {
            id: record.id.parse().ok()?,
            name: record.name.clone().into_owned(),
            status: record.status,
            attempt: record.attempt,
            rank: record.rank,
            eta_ms: record.eta_ms,
            elapsed_ms: record.elapsed_ms,
            progress: record.progress,
            text: record.text.clone().map(Cow::into_owned),
            log: record.log.iter().map(|line| line.clone().into_owned()).collect(),
            children: None,
            options: StartOptions {
                hidden: record.hidden,
                cancellable_by_page: record.cancellable_by_page,
                key: record.key.clone(),
                deserted_after: record.deserted_after_ms.map(Duration::from_millis),
                named: named.map(Arc::new),
            },
            shown_at: Time::default(),
            held: None,
            deserted: false,
            ended: record.ended,
            waits: record.waits,
            process: record.process.clone().map(Into::into),
            run: Epoch(0),
        })
    }
}
