//! `adapter_config.json`.

use regex::bytes::Regex;
use serde_json::{Map, Value};

use super::modules::{self, Modules};
use super::{AdapterError, CONFIG_FILE, Module};
use crate::config::{ConfigError, Fields};

/// Fields that say how an adapter was made or trained, and nothing about what it computes.
const WITHOUT_EFFECT: [&str; 13] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
];

/// Fields that [`LoraConfig`] is made of.
const READ: [&str; 8] = [
    "alpha_pattern",
    "exclude_modules",
    "layers_to_transform",
    "lora_alpha",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
];

/// Initialisations that leave the base model as it is. The others (PiSSA, OLoRA, CorDA, LoftQ) take
/// from the base model what they put into the adapter.
const INITIALISATIONS: [&str; 3] = ["eva", "gaussian", "orthogonal"];

/// What an adapter computes: which modules it updates, with which rank and factor.
pub(super) struct LoraConfig {
    rank: usize,
    alpha: f64,
    /// The factor is `alpha / sqrt(rank)` instead of `alpha / rank` (Kalajdzievski, "A Rank
    /// Stabilization Scaling Factor for Fine-Tuning with LoRA", 2023).
    rank_stabilised: bool,
    targets: Modules,
    excluded: Option<Modules>,
    /// The only layers.
    layers: Option<Vec<u64>>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
}

impl LoraConfig {
    /// # Errors
    /// A file that is no JSON object, a field that is missing or of another type, and everything
    /// that asks for something that is not done: a field that is not known must be off.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AdapterError> {
        let file = CONFIG_FILE;
        let object: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|source| ConfigError::Json { file, source })?;
        let fields = Fields::new(file, &object);
        refuse_others(&object, &fields)?;
        let modules = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Modules::read(name, value).map(Some),
        };
        let Some(targets) = modules("target_modules")? else {
            return Err(fields.missing("target_modules").into());
        };
        let layers = match object.get("layers_to_transform") {
            Some(Value::Number(_)) => {
                let layer = fields.count("layers_to_transform")?;
                layer.map(|layer| vec![layer as u64])
            }
            // PEFT takes an empty list for none at all.
            _ => fields
                .counts("layers_to_transform")?
                .filter(|layers| !layers.is_empty()),
        };
        let alphas = patterns(&fields, "alpha_pattern", |fields, key| {
            fields.needed_number(key)
        });
        let ranks = patterns(&fields, "rank_pattern", |fields, key| {
            fields.needed_count(key)
        });
        let config = Self {
            rank: fields.needed_count("r")?,
            alpha: fields.needed_number("lora_alpha")?,
            rank_stabilised: fields.flag("use_rslora")?.unwrap_or(false),
            targets,
            excluded: modules("exclude_modules")?,
            layers,
            ranks: ranks?,
            alphas: alphas?,
        };
        let mut ranks = config.ranks.iter().map(|(_, rank)| rank);
        if config.rank == 0 || ranks.any(|&rank| rank == 0) {
            return Err(AdapterError::field("r, rank_pattern", "must be positive"));
        }
        Ok(config)
    }

    /// The modules that the adapter updates.
    ///
    /// # Errors
    /// It updates none of `modules`, or others.
    pub(super) fn targets<'m>(
        &self,
        modules: &'m [Module],
    ) -> Result<Vec<&'m Module>, AdapterError> {
        self.targets.check("target_modules", modules)?;
        let targets: Vec<&Module> = modules
            .iter()
            .filter(|module| self.is_target(&module.name))
            .collect();
        match targets.is_empty() {
            false => Ok(targets),
            true => Err(AdapterError::field(
                "target_modules, exclude_modules, layers_to_transform",
                "leave no module of this model",
            )),
        }
    }

    fn is_target(&self, module: &str) -> bool {
        let excluded = self.excluded.as_ref();
        // A pattern stands for itself in PEFT: layers restrict names only.
        let layers = match &self.targets {
            Modules::Pattern(_) => None,
            Modules::All | Modules::Names(_) => self.layers.as_ref(),
        };
        self.targets.contain(module)
            && !excluded.is_some_and(|excluded| excluded.contain(module))
            && layers.is_none_or(|layers| layer_of(module).is_some_and(|l| layers.contains(&l)))
    }

    /// The rank of a module's update.
    pub(super) fn rank(&self, module: &str) -> usize {
        of(&self.ranks, module).unwrap_or(self.rank)
    }

    /// The factor of a module's update.
    ///
    /// # Errors
    /// One that is not finite.
    pub(super) fn scale(&self, module: &str) -> Result<f32, AdapterError> {
        let rank = self.rank(module) as f64;
        let divisor = if self.rank_stabilised {
            rank.sqrt()
        } else {
            rank
        };
        let alpha = of(&self.alphas, module).unwrap_or(self.alpha);
        let scale = (alpha / divisor) as f32;
        match scale.is_finite() {
            true => Ok(scale),
            false => Err(AdapterError::field(
                "lora_alpha, alpha_pattern",
                format!("{alpha:e} gives {module} the factor {scale}"),
            )),
        }
    }
}

/// Refuses every field that asks for something that is not done.
fn refuse_others(object: &Map<String, Value>, fields: &Fields<'_>) -> Result<(), AdapterError> {
    for (name, value) in object {
        let is_text = |allowed: &[&str]| value.as_str().is_some_and(|text| allowed.contains(&text));
        let is_list_of = |only: &str| {
            let list = value.as_array();
            list.is_some_and(|list| list.iter().all(|item| item.as_str() == Some(only)))
        };
        let (allowed, supported) = match name.as_str() {
            name if WITHOUT_EFFECT.contains(&name) || READ.contains(&name) => continue,
            "peft_type" => (is_text(&["LORA"]), "LORA"),
            "task_type" => (is_text(&["CAUSAL_LM"]), "CAUSAL_LM"),
            "bias" => (is_text(&["none"]), "none"),
            "layers_pattern" => (is_text(&["layers"]) || is_list_of("layers"), "layers"),
            "init_lora_weights" => (
                value.is_boolean() || is_text(&INITIALISATIONS),
                "what leaves the base model as it is: true, false, gaussian, eva, orthogonal",
            ),
            _ => (false, "what turns it off"),
        };
        if !allowed && !is_off(value) {
            return Err(fields.unsupported(name, supported).into());
        }
    }
    Ok(())
}

/// Whether a field has no value, or asks for nothing.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Values by expression, in the file's order.
fn patterns<T>(
    fields: &Fields<'_>,
    name: &'static str,
    value: impl Fn(&Fields<'_>, &str) -> Result<T, ConfigError>,
) -> Result<Vec<(Regex, T)>, AdapterError> {
    let Some(patterns) = fields.object(name)? else {
        return Ok(Vec::new());
    };
    let names = patterns.names();
    names
        .map(|key| Ok((modules::end(name, key)?, value(&patterns, key)?)))
        .collect()
}

/// The value of the first expression that means `module`.
fn of<T: Copy>(patterns: &[(Regex, T)], module: &str) -> Option<T> {
    let mut matching = patterns
        .iter()
        .filter(|(pattern, _)| pattern.is_match(module.as_bytes()));
    matching.next().map(|(_, value)| *value)
}

/// The layer of a module.
fn layer_of(module: &str) -> Option<u64> {
    module.split('.').find_map(|part| part.parse().ok())
}
