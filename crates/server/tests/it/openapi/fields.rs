//! The fields of the document are those that the validator knows.
//!
//! The examples are sent; the validator traces which fields it knows of each object in them, and the
//! document says which fields the same object may have.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use serde_json::{Value, json};
use server::validate::fields::READ_TARGET;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::{document, examples, filled, operations, send, whole_world};

/// What is taken out of a message, a block or a tool before its other fields are read.
const TAKEN_BEFORE: [&str; 3] = ["cache_control", "context", "defer_loading"];

/// Known, but nothing that the same body may say: a completion has no reasoning apart from its text,
/// and a conversation stands where there is no text.
const REFUSED: [(&str, &str); 3] = [
    ("/v1/completions", "thinking_token_budget"),
    ("/tokenize", "prompt"),
    ("/tokenize", "content"),
];

/// An object that was read: its path in the body, and the fields that are known of it.
#[derive(Clone, Debug, Default)]
struct Seen {
    path: String,
    fields: BTreeSet<String>,
}

/// Keeps what the validator traces on one thread.
#[derive(Clone)]
struct Recorder {
    thread: ThreadId,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    /// For all of the process: what is traced is only certain to reach a subscriber of one thread
    /// where no other thread is the first to trace it.
    fn start() -> Self {
        let recorder = Self {
            thread: std::thread::current().id(),
            seen: Arc::default(),
        };
        let only = Targets::new().with_target(READ_TARGET, tracing::Level::TRACE);
        let layer = recorder.clone().with_filter(only);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("no other test has one");
        recorder
    }
}

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if std::thread::current().id() == self.thread {
            let mut seen = Seen::default();
            event.record(&mut seen);
            self.seen.lock().unwrap().push(seen);
        }
    }
}

impl tracing::field::Visit for Seen {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "path" => self.path = text,
            // A list of names is written as JSON writes it.
            _ => self
                .fields
                .extend(serde_json::from_str::<Vec<String>>(&text).unwrap()),
        }
    }
}

/// The schemas of a document, followed through references and variants.
struct Schemas<'a> {
    document: &'a Value,
}

impl<'a> Schemas<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(place) => self.document.pointer(&place[1..]).unwrap(),
            None => schema,
        }
    }

    /// The variant of a schema that `value` is of, if it is of one.
    fn variant(&self, schema: &'a Value, value: &Value) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        let variants = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        match variants.filter(|_| schema.get("properties").is_none()) {
            None => self.fits(schema, value).then_some(schema),
            Some(variants) => variants.iter().find_map(|it| self.variant(it, value)),
        }
    }

    /// Whether the type, the fields and what they must be allow `value`.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let is = |kind: &str| match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => value.is_null(),
        };
        let required = schema["required"].as_array().into_iter().flatten();
        let mut required = required.filter_map(Value::as_str);
        let mut fields = schema["properties"].as_object().into_iter().flatten();
        let allows = |field: &Value, value: &Value| {
            let words = field["enum"].as_array();
            field.get("const").is_none_or(|only| only == value)
                && words.is_none_or(|words| words.contains(value))
        };
        let is_closed = schema["additionalProperties"] == false;
        let has = |name: &String| schema["properties"].get(name).is_some();
        let mut names = value.as_object().into_iter().flat_map(|it| it.keys());
        schema["type"].as_str().is_none_or(is)
            && (!is_closed || names.all(has))
            && allows(schema, value)
            && required.all(|name| value.get(name).is_some())
            && fields.all(|(name, field)| value.get(name).is_none_or(|it| allows(field, it)))
    }

    /// The fields of the object at `path` in `body`, if the document tells all of them: those of the
    /// variant that it is of, and those of all variants.
    fn fields_at(
        &self,
        schema: &'a Value,
        body: &Value,
        path: &str,
    ) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
        let mut all = BTreeSet::new();
        self.collect(schema, &mut all);
        let (mut schema, mut value) = (self.variant(schema, body)?, body);
        let names = path.split(['.', '[', ']']).filter(|name| !name.is_empty());
        for name in names {
            let inner = match name.parse::<usize>() {
                Ok(index) => {
                    value = &value[index];
                    &schema["items"]
                }
                Err(_) => {
                    value = &value[name];
                    let known = schema["properties"].get(name);
                    known.unwrap_or(&schema["additionalProperties"])
                }
            };
            if value.is_null() {
                // Read as if it were there and empty.
                return None;
            }
            all.clear();
            self.collect(inner, &mut all);
            schema = self
                .variant(inner, value)
                .unwrap_or_else(|| panic!("{path}: no variant of {inner} is {value}"));
        }
        let fields = schema["properties"].as_object()?;
        let is_closed = schema["additionalProperties"] == false;
        is_closed.then(|| (fields.keys().cloned().collect(), all))
    }

    /// The fields of all variants of a schema.
    fn collect(&self, schema: &'a Value, fields: &mut BTreeSet<String>) {
        let schema = self.resolve(schema);
        let variants = [&schema["anyOf"], &schema["oneOf"]];
        let variants = variants.into_iter().filter_map(Value::as_array).flatten();
        variants.for_each(|variant| self.collect(variant, fields));
        let own = schema["properties"].as_object().into_iter().flatten();
        fields.extend(own.map(|(name, _)| name.clone()));
    }
}

/// What an example's objects are known to have, against what the document tells of them.
fn compare<'a>(schemas: &Schemas<'a>, path: &str, schema: &'a Value, body: &Value, seen: &[Seen]) {
    let mut places = BTreeSet::new();
    for Seen {
        path: place,
        fields,
    } in seen
    {
        // What an API's body becomes is read once more.
        if !places.insert(place) {
            continue;
        }
        let Some((told, all)) = schemas.fields_at(schema, body, place) else {
            continue;
        };
        // A field of another variant is known before it is seen that it does not belong here.
        let is_told = |name: &&String| all.contains(*name);
        let refused = |name: &&String| REFUSED.contains(&(path, name.as_str()));
        let missing: Vec<_> = fields
            .iter()
            .filter(|it| !is_told(it) && !refused(it))
            .collect();
        assert!(
            missing.is_empty(),
            "{path} {place}: the document lacks {missing:?}"
        );
        let is_known = |name: &&String| {
            fields.contains(*name) || TAKEN_BEFORE.contains(&name.as_str()) && !place.is_empty()
        };
        let unknown: Vec<_> = told.iter().filter(|name| !is_known(name)).collect();
        assert!(
            unknown.is_empty(),
            "{path} {place}: unknown to the validator: {unknown:?}"
        );
    }
    assert!(
        places.iter().any(|place| place.is_empty()),
        "{path}: nothing was read of {body}"
    );
}

/// On one thread, so that the recorder hears what the server's tasks trace.
#[tokio::test]
async fn objects_have_the_fields_that_the_validator_knows() {
    let recorder = Recorder::start();
    let world = whole_world().await;
    let document = document(&world).await;
    let schemas = Schemas {
        document: &document,
    };
    let mut compared = 0;
    for (path, method, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        for body in examples(operation) {
            recorder.seen.lock().unwrap().clear();
            send(&world, method.clone(), &filled(path, operation), Some(body)).await;
            let seen = recorder.seen.lock().unwrap().clone();
            compare(&schemas, path, schema, body, &seen);
            compared += seen.len();
        }
    }
    assert!(compared > 100, "{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_told_are_refused_by_name() {
    let world = whole_world().await;
    let document = document(&world).await;
    for (path, method, operation) in operations(&document) {
        for body in examples(operation) {
            let mut body = body.clone();
            body["not_a_field"] = json!(1);
            let answer = send(
                &world,
                method.clone(),
                &filled(path, operation),
                Some(&body),
            )
            .await;
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
            let message = "Unrecognized request argument supplied: `not_a_field`";
            assert!(answer.text.contains(message), "{path}: {}", answer.text);
        }
    }
}
