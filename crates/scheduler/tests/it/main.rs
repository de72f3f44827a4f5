//! The scheduler with a model that keeps a shadow of the KV cache, token by token.

mod admission;
mod ahead;
mod background;
mod budget;
mod cancel;
mod guarantee;
mod ordering;
mod preemption;
mod prefix;
mod probe;
mod random;
mod refusal;
mod retention;
mod simulation;
mod stop;
mod world;
