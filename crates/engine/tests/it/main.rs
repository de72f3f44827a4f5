//! The engine through its public interface, on its own thread, over a model with a shadow KV cache.

#[cfg(test)]
mod client;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod overlap;
#[cfg(test)]
mod probe;
