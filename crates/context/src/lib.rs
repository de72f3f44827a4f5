//! The context budgeter's arithmetic: how tokens of a window are divided.
//!
//! Pure: token counts come in as numbers and a decision goes out as data. It knows no tokenizer
//! type, no model and no HTTP.

mod window;

pub use window::{Window, WindowExceeded};
