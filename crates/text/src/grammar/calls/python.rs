//! Python literals by a JSON schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameters::{Parameter, lengths, members, unsupported};
use crate::grammar::GrammarError;
use crate::grammar::lark::{Lark, literal};

/// Schemas inside of schemas, at most.
const MAX_DEPTH: usize = 32;

/// What a number may be asked.
const OF_NUMBERS: [&str; 5] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
/// What asks for nothing.
const ANNOTATIONS: [&str; 9] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$comment",
    "$defs",
    "definitions",
    "$schema",
];

/// Writes rules for the values of a tool's parameters.
pub(super) struct Python<'l, 'a, 't> {
    root: &'a Value,
    lark: &'l mut Lark<'t>,
    /// Rules of what references point to.
    references: BTreeMap<&'a str, String>,
    depth: usize,
}

impl<'l, 'a, 't> Python<'l, 'a, 't> {
    /// References point into `root`.
    pub(super) fn new(root: &'a Value, lark: &'l mut Lark<'t>) -> Self {
        Self {
            root,
            lark,
            references: BTreeMap::new(),
            depth: 0,
        }
    }

    /// Any literal.
    pub(super) fn any(&mut self) -> String {
        let string = self.string(&json!({}));
        let number = self.lark.json(&json!({"type": "number"}));
        let one =
            format!("{string} | {number} | \"True\" | \"False\" | \"None\" | py_list | py_dict");
        self.lark.rule_once("py_any", &one);
        self.lark
            .rule_once("py_list", "\"[\" (py_any (\", \" py_any)*)? \"]\"");
        let member = format!("{string} \": \" py_any");
        let dict = format!("\"{{\" ({member} (\", \" {member})*)? \"}}\"");
        self.lark.rule_once("py_dict", &dict);
        "py_any".to_owned()
    }

    /// Named values in their order, with a comma between them; `begin` is what stands before the
    /// value of this name.
    ///
    /// # Errors
    ///
    /// `Invalid` for what cannot be kept to.
    pub(super) fn members(
        &mut self,
        members: &[Parameter<'a>],
        begin: impl Fn(&str) -> String,
    ) -> Result<String, GrammarError> {
        let mut written = Vec::with_capacity(members.len());
        for member in members {
            written.push(format!(
                "{} {}",
                begin(member.name),
                self.value(member.schema)?
            ));
        }
        // What comes behind a member: all that is required, and some of the others.
        let behind = |index: usize| {
            let rest = members.iter().zip(&written).skip(index + 1);
            let rest = rest.map(|(member, text)| match member.required {
                true => format!("\", \" {text}"),
                false => format!("(\", \" {text})?"),
            });
            rest.collect::<Vec<_>>().join(" ")
        };
        let first_required = members.iter().position(|member| member.required);
        // One of those up to the first required one comes first.
        let most = first_required.map_or(members.len(), |index| index + 1);
        let firsts = (0..most).map(|index| format!("({} {})", written[index], behind(index)));
        let firsts: Vec<String> = firsts.collect();
        Ok(match (firsts.is_empty(), first_required) {
            (true, _) => String::new(),
            (false, Some(_)) => format!("({})", firsts.join(" | ")),
            (false, None) => format!("({})?", firsts.join(" | ")),
        })
    }

    /// A literal by a schema.
    fn value(&mut self, schema: &'a Value) -> Result<String, GrammarError> {
        if self.depth == MAX_DEPTH {
            return Err(unsupported(
                "parameters` so deep inside of each other, `parameters",
            ));
        }
        self.depth += 1;
        let value = match schema {
            Value::Object(fields) => self.by_fields(schema, fields),
            Value::Bool(true) => Ok(self.any()),
            other => Err(unsupported(&format!("{other}` as a schema, `{other}"))),
        };
        self.depth -= 1;
        value
    }

    fn by_fields(
        &mut self,
        schema: &'a Value,
        fields: &'a Map<String, Value>,
    ) -> Result<String, GrammarError> {
        if let Some(reference) = fields.get("$ref") {
            return self.reference(reference);
        }
        let constant = fields.get("const").map(std::slice::from_ref);
        let listed = fields
            .get("enum")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        if let Some(values) = constant.or(listed) {
            let values: Vec<String> = values.iter().map(|value| literal(&repr(value))).collect();
            return Ok(format!("({})", values.join(" | ")));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(schemas) = fields.get(key).and_then(Value::as_array) {
                let schemas = schemas.iter().map(|schema| self.value(schema));
                let schemas: Vec<String> = schemas.collect::<Result<_, _>>()?;
                return Ok(format!("({})", schemas.join(" | ")));
            }
        }
        match fields.get("type") {
            Some(Value::String(name)) => self.typed(name, schema, fields),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                let each = names.map(|name| self.typed(name, schema, fields));
                let each: Vec<String> = each.collect::<Result<_, _>>()?;
                Ok(format!("({})", each.join(" | ")))
            }
            _ if fields.contains_key("properties") => self.typed("object", schema, fields),
            _ => {
                check(fields, &[])?;
                Ok(self.any())
            }
        }
    }

    fn typed(
        &mut self,
        name: &str,
        schema: &'a Value,
        fields: &'a Map<String, Value>,
    ) -> Result<String, GrammarError> {
        // With several types, what is asked of one is not asked of another.
        let several = matches!(fields.get("type"), Some(Value::Array(_)));
        let check = |known: &[&str]| match several {
            true => Ok(()),
            false => check(fields, known),
        };
        match name {
            "string" => {
                check(&["minLength", "maxLength"])?;
                Ok(self.string(schema))
            }
            "number" | "integer" => {
                check(&OF_NUMBERS)?;
                let mut number = json!({"type": name});
                for key in OF_NUMBERS {
                    if let Some(bound) = fields.get(key) {
                        number[key] = bound.clone();
                    }
                }
                Ok(self.lark.json(&number))
            }
            "boolean" => check(&[]).map(|()| "(\"True\" | \"False\")".to_owned()),
            "null" => check(&[]).map(|()| "\"None\"".to_owned()),
            "array" => {
                check(&["items", "minItems", "maxItems"])?;
                self.list(schema, fields)
            }
            "object" => {
                check(&["properties", "required", "additionalProperties"])?;
                self.dict(fields)
            }
            other => Err(unsupported(&format!("type`: `{other}"))),
        }
    }

    /// A list of so many items.
    fn list(
        &mut self,
        schema: &'a Value,
        fields: &'a Map<String, Value>,
    ) -> Result<String, GrammarError> {
        let item = match fields.get("items") {
            Some(items) => self.value(items)?,
            None => self.any(),
        };
        let bound = |key: &str| schema[key].as_u64();
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems"));
        if most == Some(0) {
            return Ok(literal("[]"));
        }
        // One item stands before the first comma.
        let more = match most {
            Some(most) => format!("{{{},{}}}", least.saturating_sub(1), most - 1),
            None => format!("{{{},}}", least.saturating_sub(1)),
        };
        let items = format!("{item} (\", \" {item}){more}");
        Ok(match least {
            0 => format!("\"[\" ({items})? \"]\""),
            _ => format!("\"[\" {items} \"]\""),
        })
    }

    fn dict(&mut self, fields: &'a Map<String, Value>) -> Result<String, GrammarError> {
        let known = members(fields);
        if known.is_empty() && fields.get("additionalProperties") != Some(&Value::Bool(false)) {
            self.any();
            return Ok("py_dict".to_owned());
        }
        let key = |name: &str| literal(&format!("{}: ", repr(&name.into())));
        let members = self.members(&known, key)?;
        Ok(format!("\"{{\" {members} \"}}\""))
    }

    /// A string between double quotes, with escapes that Python knows.
    fn string(&mut self, schema: &Value) -> String {
        let lengths = lengths(schema, "minLength", "maxLength");
        format!(r#"/"([^"\\\x00-\x1f]|\\["\\bfnrt]){lengths}"/"#)
    }

    fn reference(&mut self, reference: &'a Value) -> Result<String, GrammarError> {
        let text = reference.as_str().unwrap_or_default();
        if let Some(rule) = self.references.get(text) {
            return Ok(rule.clone());
        }
        let pointer = text.strip_prefix('#');
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| unsupported(&format!("$ref`: `{reference}")))?;
        let rule = self.lark.new_name("py_reference");
        self.references.insert(text, rule.clone());
        let value = self.value(target)?;
        self.lark.rule(&rule, &value);
        Ok(rule)
    }
}

/// # Errors
///
/// A field that is none of these, nor an annotation.
fn check(fields: &Map<String, Value>, known: &[&str]) -> Result<(), GrammarError> {
    let is_known = |key: &&String| {
        let key = key.as_str();
        key == "type" || known.contains(&key) || ANNOTATIONS.contains(&key)
    };
    match fields.keys().find(|key| !is_known(key)) {
        None => Ok(()),
        Some(key) => Err(unsupported(key)),
    }
}

/// A value as a literal of Python.
fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), repr(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}
