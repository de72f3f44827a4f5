//! Steps from their launch to their end.

use std::time::Duration;

use kernels::StepBatch;
use models::{Logits, ModelRunner};
use scheduler::{RequestId, StepPlan, Timestamp};

use super::StepLoop;
use crate::step_phases::{PhaseWatch, StepPhase};

/// No step is launched behind one that should take longer than this: what the host does between two
/// such steps is little beside them, and requests that arrive meanwhile would wait for both.
const LONG_STEP: Duration = Duration::from_millis(20);

/// A step that was launched, or whose batch is ready for a model that computes while it is waited for.
pub(super) struct Step {
    pub(super) plan: StepPlan,
    pub(super) launched: Timestamp,
    /// How many log probabilities were asked for, of those requests that want some.
    pub(super) wanted_scores: Vec<(RequestId, usize)>,
    /// Whether it is in flight; `None` where the model has no steps in flight.
    in_flight: Option<Result<(), String>>,
}

impl Step {
    /// What it has computed, when it has ended; `batch` is its own unless it is in flight.
    pub(super) fn wait<'a>(
        &self,
        runner: &'a mut dyn ModelRunner,
        batch: &StepBatch,
    ) -> Result<Logits<'a>, String> {
        let computed = match &self.in_flight {
            None => runner.forward(batch),
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok(())) => {
                let steps = runner.steps_in_flight();
                steps.expect("it was launched").finish()
            }
        };
        computed.map_err(|error| error.to_string())
    }
}

impl StepLoop {
    /// Lays a plan out for the model, behind the step `before` that is in flight, and begins it where
    /// the model can.
    pub(super) fn launch(
        &mut self,
        mut plan: StepPlan,
        before: Option<&StepPlan>,
        watch: &mut PhaseWatch,
    ) -> Step {
        let planned = self.clock.now();
        watch.end_of(StepPhase::Schedule, planned);
        self.announce(&plan, planned);
        watch.end_of(StepPhase::Send, self.clock.now());
        self.save_evicted();
        self.build_batch(&mut plan, before);
        let wanted_scores = self.want_scores(&plan);
        self.batch.wants_states = self.wants_states(&plan);
        self.want_draws(&plan);
        let launched = self.clock.now();
        let steps = self.runner.steps_in_flight();
        let in_flight = steps.map(|steps| steps.launch(&self.batch));
        watch.end_of(StepPhase::Launch, self.clock.now());
        Step {
            plan,
            launched,
            wanted_scores,
            in_flight: in_flight.map(|done| done.map_err(|error| error.to_string())),
        }
    }

    /// Plans and launches the step behind `step`, where that can be done before `step` has ended.
    pub(super) fn launch_ahead(&mut self, step: &Step, watch: &mut PhaseWatch) -> Option<Step> {
        let is_long = step.plan.predicted.is_some_and(|time| time > LONG_STEP);
        if is_long || !matches!(step.in_flight, Some(Ok(()))) {
            return None;
        }
        if !self.runner.steps_in_flight()?.may_follow() {
            return None;
        }
        let plan = self.scheduler.plan_ahead(self.clock.now())?;
        Some(self.launch(plan, Some(&step.plan), watch))
    }

    /// Waits for the step in flight, none of whose requests is left.
    pub(super) fn end_ahead(&mut self) {
        if let Some(step) = self.ahead.take() {
            // Nobody is left to be told of an error.
            drop(step.wait(self.runner.as_mut(), &self.batch));
            self.scheduler.abort_step(&step.plan);
        }
    }
}
