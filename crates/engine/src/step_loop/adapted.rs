//! Steps with adapters.

use std::sync::mpsc::SyncSender;

use models::LoraAdapter;
use scheduler::{RequestId, StepPlan};

use super::StepLoop;
use crate::adapters::{AdapterHandle, LoadAdapterError};
use crate::batch;
use crate::handle::Message;

impl StepLoop {
    pub(super) fn load_adapter(
        &mut self,
        adapter: &LoraAdapter,
        inbox: SyncSender<Message>,
    ) -> Result<AdapterHandle, LoadAdapterError> {
        self.adapters.load(adapter, self.runner.as_mut(), inbox)
    }

    /// Writes the plan into the batch. Requests of one adapter come one after the other, so that its
    /// weights are read once for all of them.
    pub(super) fn build_batch(&mut self, plan: &mut StepPlan, before: Option<&StepPlan>) {
        let requests = &self.requests;
        let slot = |id: RequestId| -> Option<u32> {
            let request = requests.get(&id)?;
            request.adapter.as_ref().map(AdapterHandle::slot)
        };
        if self.adapters.is_empty() {
            return batch::build(&self.scheduler, plan, before, |_| None, &mut self.batch);
        }
        plan.chunks.sort_by_key(|chunk| slot(chunk.request));
        batch::build(&self.scheduler, plan, before, slot, &mut self.batch);
    }
}
