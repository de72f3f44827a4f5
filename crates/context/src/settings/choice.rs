//! Settings that are one of a few words.

/// Whether edits are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No plan: the prompt is as the client sent it.
    Off,
    /// Plan and report; the prompt is as the client sent it.
    Observe,
    /// Plan and edit.
    Enforce,
}

/// Where the stable prefix ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StablePrefix {
    /// `cache_control`: behind the last part that is marked so; nowhere without marks.
    CacheControl,
    /// `auto`: behind the longest prefix that enough other requests share.
    Auto,
    /// `{"message_index": n}`: where message n begins, counted from 0: the first n messages and
    /// what the template puts before them. There must be as many messages.
    MessageIndex(usize),
    /// `{"tokens": n}`: behind the first n tokens; all of a shorter prompt.
    Tokens(usize),
}

/// What happens to a request that cannot be made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInfeasible {
    /// It fails with the table of zones and suggestions.
    Error,
    /// The answer asks for a smaller scope, without a model.
    Ask,
    /// The answer says how to cut it into chunks.
    Chunk,
}

/// How much the answer tells about the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportLevel {
    /// Nothing.
    None,
    /// Budget, zones and counts.
    Summary,
    /// Every edit, too.
    Full,
}

/// Whether the model is told how much room is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellModel {
    /// No.
    None,
    /// One line at the very end of the prompt, where it costs no cached token.
    TailNote,
}

/// When a summary is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionSchedule {
    /// While the client runs its tool; in the foreground only when a request could not fit.
    Background,
    /// When it is needed.
    Foreground,
}

/// How a client's own words join the instruction for a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionsMode {
    /// Behind the server's.
    Append,
    /// Instead of the server's.
    Replace,
}

/// What a summary must preserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preserve {
    /// What the user wants.
    UserGoal,
    /// What must or must not be done.
    Constraints,
    /// What was decided, and why.
    Decisions,
    /// Paths, identifiers, addresses.
    Artifacts,
    /// What failed, and how.
    Errors,
    /// What is left to do.
    OpenTasks,
    /// How the user likes things.
    Preferences,
}

/// Gives an enum without fields its names: `ALL`, `name` and `from_name`.
macro_rules! named {
    ($type:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in requests and profiles.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            /// The one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named!(Mode: Off = "off", Observe = "observe", Enforce = "enforce");
named!(OnInfeasible: Error = "error", Ask = "ask", Chunk = "chunk");
named!(ReportLevel: None = "none", Summary = "summary", Full = "full");
named!(TellModel: None = "none", TailNote = "tail_note");
named!(CompactionSchedule: Background = "background", Foreground = "foreground");
named!(InstructionsMode: Append = "append", Replace = "replace");
named!(Preserve:
    UserGoal = "user_goal",
    Constraints = "constraints",
    Decisions = "decisions",
    Artifacts = "artifacts",
    Errors = "errors",
    OpenTasks = "open_tasks",
    Preferences = "preferences",
);
