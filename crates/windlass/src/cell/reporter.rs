//! How a job's reports come to its session.

use std::sync::Weak;

use windlass_engine::JobReport;
use windlass_protocol::JobId;

use super::Cell;
use crate::job_work::Reporter;
use crate::program::{Program, State};
use crate::test::{Instead, Returns};
use crate::{Job, lock};

/// Brings a job's reports to its session, as long as there is one.
pub(super) struct CellReporter<S: State> {
    pub(super) cell: Weak<Cell<S>>,
    pub(super) job: JobId,
    pub(super) owner: u64,
}

impl<S: State> Reporter<S> for CellReporter<S> {
    fn owner(&self) -> u64 {
        self.owner
    }

    fn job(&self) -> JobId {
        self.job
    }

    fn report(&self, report: JobReport<Program<S>>) {
        if let Some(cell) = self.cell.upgrade() {
            let is_tick = matches!(report, JobReport::Running(..));
            lock(&cell.inbox).push_report(self.job, report);
            cell.call();
            if let Some(stage) = &cell.hub.options.stage {
                stage.reported(cell.id, self.job, is_tick);
            }
        }
    }

    fn hold(&self, job: &Job, returns: Returns) -> Instead {
        let Some(cell) = self.cell.upgrade() else { return Instead::Run };
        let Some(stage) = cell.hub.options.stage.clone() else { return Instead::Run };
        let session = cell.id;
        // The session may go while its job is held.
        drop(cell);
        stage.hold(session, self.job, job, returns)
    }
}
