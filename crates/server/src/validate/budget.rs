//! `context_budget`: what a client asks of the context budgeter. A profile of the configuration
//! has the same fields.

mod ablation;
mod bound;
mod management;
mod pieces;
mod rules;
mod zones;

use context::{
    LadderMode, Low, Mode, ObjectiveSettings, OnInfeasible, PrefillWeight, ReportLevel, Rung,
    Settings, TellModel, UtilizationSettings,
};
use memory::Namespace;
use serde_json::Value;

use super::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

pub use ablation::Ablation;
pub use management::{ManagedEdit, management};
pub use pieces::{Annotation, Document, Incoming, Target, annotation};

/// The only version of the field.
const VERSION: i64 = 1;

/// The field, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetRequest {
    /// A profile of the server, below the request's own settings.
    pub profile: Option<String>,
    /// The request's own settings.
    pub settings: Settings,
    /// Documents from which the server chooses.
    pub documents: Vec<Document>,
    /// What the next request will add.
    pub incoming: Vec<Incoming>,
    /// What the client knows of single messages.
    pub annotations: Vec<Annotation>,
    /// Memory whose files are put into the prompt where they match.
    pub memory_namespace: Option<Namespace>,
    /// What is left out, to measure it.
    pub ablation: Ablation,
}

/// Takes `context_budget` of a request.
///
/// # Errors
/// The first wrong field, by its path.
pub fn request(fields: &mut Fields) -> Result<Option<BudgetRequest>, ApiError> {
    match fields.value("context_budget") {
        None => Ok(None),
        Some(value) => budget(Fields::from_value("context_budget".to_owned(), value)?).map(Some),
    }
}

/// A profile of the configuration; `path` is its name in errors.
///
/// # Errors
/// The first wrong field, by its path; fields that belong to single requests are wrong.
pub fn profile(path: &str, value: Value) -> Result<Settings, ApiError> {
    let mut fields = Fields::from_value(path.to_owned(), value)?;
    let settings = settings(&mut fields)?;
    fields.finish(&[], &[])?;
    Ok(settings)
}

fn budget(mut fields: Fields) -> Result<BudgetRequest, ApiError> {
    fields.integer("version", VERSION..=VERSION)?;
    let request = BudgetRequest {
        profile: fields.string("profile")?,
        settings: settings(&mut fields)?,
        documents: pieces::documents(&mut fields)?,
        incoming: pieces::incoming(&mut fields)?,
        annotations: pieces::annotations(&mut fields)?,
        memory_namespace: store(&mut fields)?,
        ablation: ablation::ablation(&mut fields)?,
    };
    fields.finish(&[], &[])?;
    Ok(request)
}

fn settings(fields: &mut Fields) -> Result<Settings, ApiError> {
    let mut settings = Settings {
        mode: choice(fields, "mode", &Mode::ALL.map_names(Mode::name))?,
        budget: bound::amount(fields, "max_context_tokens", 1)?,
        utilization: utilization(fields)?,
        min_turns_between_edits: fields.count("min_turns_between_edits", 0..=100_000)?,
        ladder: ladder(fields)?,
        ladder_mode: choice(
            fields,
            "ladder_mode",
            &[("strict", LadderMode::Strict), ("cost", LadderMode::Cost)],
        )?,
        on_infeasible: choice(
            fields,
            "on_infeasible",
            &OnInfeasible::ALL.map_names(OnInfeasible::name),
        )?,
        report: choice(
            fields,
            "report",
            &ReportLevel::ALL.map_names(ReportLevel::name),
        )?,
        objective: objective(fields)?,
        tell_model: choice(
            fields,
            "tell_model",
            &TellModel::ALL.map_names(TellModel::name),
        )?,
        server_tools: fields.boolean("server_tools")?,
        max_planning_ms: milliseconds(fields, "max_planning_ms")?,
        ttft_slo_ms: milliseconds(fields, "ttft_slo_ms")?,
        ..Settings::default()
    };
    zones::zones(fields, &mut settings)?;
    rules::compaction(fields, &mut settings.compaction)?;
    rules::hints(fields, &mut settings)?;
    Ok(settings)
}

fn utilization(fields: &mut Fields) -> Result<UtilizationSettings, ApiError> {
    let Some(mut fields) = object(fields, "utilization")? else {
        return Ok(UtilizationSettings::default());
    };
    let share = |fields: &mut Fields, name| fields.number(name, 0.0..=1.0);
    let low = match fields.value("low") {
        None => None,
        Some(Value::String(word)) if word == "auto" => Some(Low::Auto),
        Some(value) => {
            let path = fields.path("low");
            let number = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
            let message = format!("`{path}` must be a share from 0 to 1, or \"auto\".");
            let share = number.ok_or_else(|| ApiError::field(path, message))?;
            Some(Low::Share(share))
        }
    };
    let settings = UtilizationSettings {
        soft: share(&mut fields, "soft")?.map(exact),
        high: share(&mut fields, "high")?.map(exact),
        low,
    };
    fields.finish(&[], &[])?;
    Ok(settings)
}

fn objective(fields: &mut Fields) -> Result<ObjectiveSettings, ApiError> {
    let Some(mut fields) = object(fields, "objective")? else {
        return Ok(ObjectiveSettings::default());
    };
    let weight = |fields: &mut Fields, name| fields.number(name, 0.0..=1e6);
    let settings = ObjectiveSettings {
        loss: weight(&mut fields, "loss")?.map(exact),
        prefill: prefill_weight(&mut fields)?,
        tokens: weight(&mut fields, "tokens")?.map(exact),
        diversity: weight(&mut fields, "diversity")?.map(exact),
    };
    fields.finish(&[], &[])?;
    Ok(settings)
}

/// Takes `prefill`, the weight of computing a budget of tokens, or `prefill_ms`, that of a
/// millisecond.
fn prefill_weight(fields: &mut Fields) -> Result<Option<PrefillWeight>, ApiError> {
    let whole = fields.number("prefill", 0.0..=1e6)?.map(exact);
    let each = fields.number("prefill_ms", 0.0..=1e6)?.map(exact);
    match (whole, each) {
        (Some(_), Some(_)) => {
            let path = fields.path("prefill_ms");
            let message = format!("`{path}`: give `prefill` or `prefill_ms`, not both.");
            Err(ApiError::field(path, message))
        }
        (Some(whole), None) => Ok(Some(PrefillWeight::Whole(whole))),
        (None, each) => Ok(each.map(PrefillWeight::Millisecond)),
    }
}

fn ladder(fields: &mut Fields) -> Result<Option<Vec<Rung>>, ApiError> {
    let path = fields.path("ladder");
    let Some(names) = fields.array("ladder")? else {
        return Ok(None);
    };
    let rungs = names.iter().enumerate().map(|(index, name)| {
        let path = format!("{path}[{index}]");
        let rung = name.as_str().and_then(Rung::from_name);
        rung.ok_or_else(|| {
            let rungs = Rung::ALL.map(Rung::name).join(", ");
            ApiError::field(&path, format!("`{path}` must be one of {rungs}."))
        })
    });
    rungs.collect::<Result<_, _>>().map(Some)
}

fn store(fields: &mut Fields) -> Result<Option<Namespace>, ApiError> {
    let Some(mut store) = object(fields, "store")? else {
        return Ok(None);
    };
    let path = store.path("memory_namespace");
    let namespace = match store.string("memory_namespace")? {
        None => None,
        Some(name) => Some(
            name.parse()
                .map_err(|error| ApiError::field(&path, format!("`{path}`: {error}.")))?,
        ),
    };
    store.finish(
        &[],
        &[(
            "session",
            "no session is needed: edits are found by content.",
        )],
    )?;
    Ok(namespace)
}

/// An object inside an object.
fn object(fields: &mut Fields, name: &'static str) -> Result<Option<Fields>, ApiError> {
    let path = fields.path(name);
    fields
        .value(name)
        .map(|value| Fields::from_value(path, value))
        .transpose()
}

/// A word of a few.
fn choice<T: Copy>(
    fields: &mut Fields,
    name: &'static str,
    words: &[(&str, T)],
) -> Result<Option<T>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let Value::String(word) = &value else {
        return Err(wrong_type(&path, "a string", &value));
    };
    match words.iter().find(|(known, _)| known == word) {
        Some((_, one)) => Ok(Some(*one)),
        None => {
            let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            let message = format!("`{path}` must be one of {}.", known.join(", "));
            Err(ApiError::field(path, message))
        }
    }
}

fn milliseconds(fields: &mut Fields, name: &'static str) -> Result<Option<u64>, ApiError> {
    Ok(fields.count(name, 0..=3_600_000)?.map(|ms| ms as u64))
}

/// The number that was written, rather than the nearest `f32`: 0.1 is 0.1.
pub(super) fn exact(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Values with their names, for [`choice`].
trait MapNames<T> {
    fn map_names(&self, name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)>;
}

impl<T: Copy> MapNames<T> for [T] {
    fn map_names(&self, name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
        self.iter().map(|&one| (name(one), one)).collect()
    }
}

#[cfg(test)]
mod tests;
