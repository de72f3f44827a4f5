//! Which JSON a parameter's schema allows, and what a value written as plain text means then.

use serde_json::Value;

use super::json_text::push_string;
use super::python_literal;

/// The types of JSON that a schema allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValueTypes {
    string: bool,
    number: bool,
    boolean: bool,
    null: bool,
    object: bool,
    array: bool,
}

/// References are followed so many times: schemas may contain themselves.
const MAX_DEPTH: usize = 16;

impl ValueTypes {
    /// Nothing but strings.
    pub(super) const STRING: Self = Self {
        string: true,
        ..Self::NONE
    };
    const NONE: Self = Self {
        string: false,
        number: false,
        boolean: false,
        null: false,
        object: false,
        array: false,
    };
    const ANY: Self = Self {
        string: true,
        number: true,
        boolean: true,
        null: true,
        object: true,
        array: true,
    };

    /// The types of a parameter in the schema of a tool's parameters. One that the schema does
    /// not describe is a string: that is what was written.
    pub(crate) fn of_parameter(parameters: Option<&Value>, name: &str) -> Self {
        let Some(root) = parameters else {
            return Self::STRING;
        };
        let described = root.get("properties").and_then(|all| all.get(name));
        let described = described.or(root.get("additionalProperties").filter(|it| it.is_object()));
        described.map_or(Self::STRING, |schema| Self::of(schema, root, 0))
    }

    /// Whether strings are allowed.
    pub(crate) fn may_be_string(self) -> bool {
        self.string
    }

    /// Whether only strings are allowed, so that a value is certain before its end.
    pub(crate) fn is_string(self) -> bool {
        self == Self::STRING
    }

    fn of(schema: &Value, root: &Value, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::ANY;
        }
        let mut types = Self::NONE;
        let get = |key: &str| schema.get(key);
        if let Some(name) = get("type").and_then(Value::as_str) {
            types = Self::named(name);
        } else if let Some(names) = get("type").and_then(Value::as_array) {
            let names = names.iter().filter_map(Value::as_str);
            types = names.map(Self::named).fold(types, Self::or);
        } else if let Some(constant) = get("const") {
            types = Self::of_value(constant);
        } else if let Some(values) = get("enum").and_then(Value::as_array) {
            types = values.iter().map(Self::of_value).fold(types, Self::or);
        } else if let Some(reference) = get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|at| root.pointer(at));
            types = target.map_or(types, |target| Self::of(target, root, depth + 1));
        } else if let Some(schemas) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| get(key)?.as_array())
        {
            let each = schemas.iter().map(|one| Self::of(one, root, depth + 1));
            types = each.fold(types, Self::or);
        } else if let Some(schemas) = get("allOf").and_then(Value::as_array) {
            let each = schemas.iter().map(|one| Self::of(one, root, depth + 1));
            types = each.fold(Self::ANY, Self::and);
        }
        if types == Self::NONE {
            types = Self::ANY;
        }
        types.null |= get("nullable") == Some(&Value::Bool(true));
        types
    }

    fn named(name: &str) -> Self {
        let mut types = Self::NONE;
        match name {
            "string" => types.string = true,
            "number" | "integer" => types.number = true,
            "boolean" => types.boolean = true,
            "null" => types.null = true,
            "object" => types.object = true,
            "array" => types.array = true,
            _ => return Self::ANY,
        }
        types
    }

    fn of_value(value: &Value) -> Self {
        Self::named(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        })
    }

    fn or(self, other: Self) -> Self {
        self.zip(other, |one, two| one || two)
    }

    fn and(self, other: Self) -> Self {
        self.zip(other, |one, two| one && two)
    }

    fn zip(self, other: Self, with: fn(bool, bool) -> bool) -> Self {
        Self {
            string: with(self.string, other.string),
            number: with(self.number, other.number),
            boolean: with(self.boolean, other.boolean),
            null: with(self.null, other.null),
            object: with(self.object, other.object),
            array: with(self.array, other.array),
        }
    }

    /// JSON text of a value written as plain text. JSON of an allowed type is that, byte for byte;
    /// so is what Python prints for one, since some templates print calls so. The rest is a string
    /// even where none is allowed: the tool can say what is wrong with it.
    pub(super) fn json(self, text: &str) -> String {
        let trimmed = text.trim();
        if !self.is_string() {
            if self.allows(trimmed) {
                return trimmed.to_owned();
            }
            let translated = python_literal::to_json(trimmed);
            if let Some(json) = translated.filter(|json| self.allows(json)) {
                return json;
            }
        }
        let mut json = String::new();
        push_string(&mut json, text);
        json
    }

    /// Whether the text is JSON of an allowed type; strings are written without quotes.
    fn allows(self, json: &str) -> bool {
        let value: Result<Value, _> = serde_json::from_str(json);
        value
            .is_ok_and(|value| !value.is_string() && self.and(Self::of_value(&value)) != Self::NONE)
    }
}
