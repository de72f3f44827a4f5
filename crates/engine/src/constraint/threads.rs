//! The threads on which constraints work while the model computes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use kv_cache::TokenId;
use scheduler::RequestId;

use super::{ConstraintError, TokenConstraint, TokenMask};

/// A thread for so many cores: constraints take tens of microseconds of a step's milliseconds, and
/// the model wants the cores.
const CORES_PER_THREAD: usize = 4;

/// Threads that are started with the first constraint and end with this.
#[derive(Debug, Default)]
pub(crate) struct ConstraintThreads {
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    threads: Vec<Sender<Job>>,
    masks: Receiver<(RequestId, Result<TokenMask, ConstraintError>)>,
}

/// A request's end of its constraint. Dropping it ends the constraint.
#[derive(Debug)]
pub(crate) struct Following {
    id: RequestId,
    thread: Sender<Job>,
    allowed: Allowed,
}

/// What is known of the tokens that may come next.
#[derive(Debug)]
enum Allowed {
    Pending,
    Tokens(TokenMask),
    Nothing(ConstraintError),
}

enum Job {
    Begin(RequestId, Box<dyn TokenConstraint>),
    Accept(RequestId, TokenId),
    End(RequestId),
}

impl ConstraintThreads {
    /// Begins to work out what the answer to a request may begin with.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub(crate) fn follow(
        &mut self,
        id: RequestId,
        constraint: Box<dyn TokenConstraint>,
    ) -> Following {
        let started = self.started.get_or_insert_with(Started::new);
        let index = id.0 as usize % started.threads.len();
        let thread = started.threads[index].clone();
        send(&thread, Job::Begin(id, constraint));
        Following {
            id,
            thread,
            allowed: Allowed::Pending,
        }
    }

    /// Waits for the next result.
    ///
    /// # Panics
    /// If nothing is followed.
    pub(crate) fn next(&self) -> (RequestId, Result<TokenMask, ConstraintError>) {
        let started = self.started.as_ref().expect("something is followed");
        started
            .masks
            .recv()
            .expect("the threads run as long as this")
    }
}

impl Started {
    fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (sender, masks) = channel();
        let threads = (0..cores.div_ceil(CORES_PER_THREAD)).map(|index| {
            let (jobs, inbox) = channel();
            let masks = sender.clone();
            thread::Builder::new()
                .name(format!("constraint-{index}"))
                .spawn(move || work(&inbox, &masks))
                .expect("the system can start a thread");
            jobs
        });
        Self {
            threads: threads.collect(),
            masks,
        }
    }
}

impl Following {
    /// The answer goes on with `token`: works out what may come then.
    pub(crate) fn accept(&mut self, token: TokenId) {
        self.allowed = Allowed::Pending;
        send(&self.thread, Job::Accept(self.id, token));
    }

    /// Takes what was worked out.
    pub(crate) fn set(&mut self, allowed: Result<TokenMask, ConstraintError>) {
        self.allowed = match allowed {
            Ok(mask) => Allowed::Tokens(mask),
            Err(error) => Allowed::Nothing(error),
        };
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.allowed, Allowed::Pending)
    }

    /// The tokens that may come next, once that is known.
    pub(crate) fn allowed(&self) -> Option<&TokenMask> {
        match &self.allowed {
            Allowed::Tokens(mask) => Some(mask),
            Allowed::Pending | Allowed::Nothing(_) => None,
        }
    }

    /// Why there are none.
    pub(crate) fn error(&self) -> Option<&ConstraintError> {
        match &self.allowed {
            Allowed::Nothing(error) => Some(error),
            Allowed::Pending | Allowed::Tokens(_) => None,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        send(&self.thread, Job::End(self.id));
    }
}

/// The threads end after the engine, which has taken all that it sent.
fn send(thread: &Sender<Job>, job: Job) {
    thread
        .send(job)
        .expect("the thread runs while there are senders");
}

fn work(inbox: &Receiver<Job>, masks: &Sender<(RequestId, Result<TokenMask, ConstraintError>)>) {
    let mut constraints = BTreeMap::new();
    while let Ok(job) = inbox.recv() {
        let (id, token) = match job {
            Job::Begin(id, constraint) => {
                constraints.insert(id, constraint);
                (id, None)
            }
            Job::Accept(id, token) => (id, Some(token)),
            Job::End(id) => {
                constraints.remove(&id);
                continue;
            }
        };
        let Some(constraint) = constraints.get_mut(&id) else {
            continue;
        };
        // Nobody listens any more when the engine has ended.
        let _ = masks.send((id, step(constraint.as_mut(), token)));
    }
}

/// A constraint that panics fails its own request alone.
fn step(
    constraint: &mut dyn TokenConstraint,
    token: Option<TokenId>,
) -> Result<TokenMask, ConstraintError> {
    let stepped = catch_unwind(AssertUnwindSafe(|| {
        token.map_or(Ok(()), |token| constraint.accept(token))?;
        constraint.allowed()
    }));
    stepped.unwrap_or_else(|_| Err(ConstraintError("the constraint panicked".to_owned())))
}
