//! The store beside the context: text that was moved out of a prompt, and files that outlive a
//! conversation. One file on disk, embedded database (redb), no server of its own.
//!
//! # Tour
//!
//! [`Store::put`] takes text out of a prompt and leaves a [`Handle`]; [`Store::restore`] gives the
//! text back, byte for byte. A [`Namespace`] holds files under `/memories`; a [`Command`] is a call
//! of Anthropic's memory tool (`memory_20250818`), and [`Store::run`] answers it with the text that
//! the model reads.
//!
//! Everything belongs to a [`Tenant`], and nothing of another tenant's can be told from what does
//! not exist. What a store may hold is bounded by its [`Limits`].

mod command;
mod entry;
mod error;
mod files;
mod handle;
mod limits;
mod listing;
mod namespace;
mod offload;
mod path;
mod search;
mod shelf;
mod store;
mod tenant;
mod uses;

pub use command::{Command, CommandError};
pub use error::{OpenError, StorageError};
pub use files::FileError;
pub use handle::{Handle, MalformedHandle};
pub use limits::Limits;
pub use namespace::{MalformedNamespace, Namespace};
pub use offload::{PutError, Stored, Usage};
pub use path::{MalformedPath, MemoryPath};
pub use search::Found;
pub use store::Store;
pub use tenant::Tenant;
