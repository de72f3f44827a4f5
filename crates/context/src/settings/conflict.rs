//! Where two parts of one request say different things of what is to be protected.

use super::{ClearingSettings, Settings};

impl Settings {
    /// These settings over a vendor's edits of the same request, and the fields below
    /// `context_budget` of which the two say different things.
    ///
    /// Where both protect something the stricter protection holds, whoever asks for it: tools that
    /// one of them excludes are excluded, and the higher `keep` counts. Otherwise these settings
    /// count, as in [`Settings::over`].
    #[must_use]
    pub fn over_edits(self, edits: Self) -> (Self, Vec<&'static str>) {
        let mut fields = Vec::new();
        let clearing = stricter(&self.clearing, &edits.clearing, &mut fields);
        let (own, other) = (&self.compaction, &edits.compaction);
        if differ(&own.trigger, &other.trigger) {
            fields.push("compaction.trigger");
        }
        if differ(&own.instructions, &other.instructions) {
            fields.push("compaction.instructions");
        }
        let mut settings = self.over(edits);
        settings.clearing.keep = clearing.keep.or(settings.clearing.keep);
        settings.clearing.exclude_tools =
            clearing.exclude_tools.or(settings.clearing.exclude_tools);
        (settings, fields)
    }
}

/// What both say, where it is different; its fields are added.
fn stricter(
    own: &ClearingSettings,
    other: &ClearingSettings,
    fields: &mut Vec<&'static str>,
) -> ClearingSettings {
    let mut stricter = ClearingSettings::default();
    if differ(&own.trigger, &other.trigger) {
        fields.push("zones.tool_outputs.trigger");
    }
    if differ(&own.keep, &other.keep) {
        fields.push("zones.tool_outputs.keep");
        stricter.keep = own.keep.max(other.keep);
    }
    if let (Some(own), Some(other)) = (&own.exclude_tools, &other.exclude_tools) {
        let added = other.iter().filter(|tool| !own.contains(tool));
        let added: Vec<_> = added.collect();
        if !added.is_empty() {
            fields.push("zones.tool_outputs.exclude_tools");
        }
        stricter.exclude_tools = Some(own.iter().chain(added).cloned().collect());
    }
    stricter
}

fn differ<T: PartialEq>(own: &Option<T>, other: &Option<T>) -> bool {
    own.is_some() && other.is_some() && own != other
}
