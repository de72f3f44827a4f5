//! Arguments as keyword arguments of a function in Python.

use serde_json::Value;

use super::parameters::Parameters;
use super::python::Python;
use crate::grammar::GrammarError;
use crate::grammar::lark::{Lark, literal};

/// The arguments of a call, in the schema's order, without the parentheses around them.
///
/// # Errors
///
/// `Invalid` for what cannot be kept to.
pub(super) fn write(function: &Value, lark: &mut Lark<'_>) -> Result<String, GrammarError> {
    let parameters = Parameters::of(function)?;
    let mut python = Python::new(parameters.root, lark);
    if parameters.open {
        let any = python.any();
        let argument = format!("/[a-zA-Z_][a-zA-Z0-9_]{{0,63}}/ \"=\" {any}");
        return Ok(format!("({argument} (\", \" {argument})*)?"));
    }
    python.members(&parameters.known, |name| literal(&format!("{name}=")))
}
