//! The tools that agents are told of.

use serde_json::{Map, Value, json};

/// Definitions as coding agents have them, in OpenAI's shape.
pub(super) fn definitions() -> Value {
    TOOLS.iter().map(Tool::to_json).collect()
}

/// A function that the model may call.
struct Tool {
    name: &'static str,
    description: &'static str,
    /// The first one is required.
    parameters: &'static [Parameter],
}

/// Name, type and description.
type Parameter = (&'static str, &'static str, &'static str);

const PATH: Parameter = ("path", "string", "Path from the project's root.");

const TOOLS: [Tool; 6] = [
    Tool {
        name: "read_file",
        description: "Reads a file, or some of its lines, and returns the text with line numbers.",
        parameters: &[
            PATH,
            ("first_line", "integer", "The first line to return, from 1."),
            ("last_line", "integer", "The last line to return."),
        ],
    },
    Tool {
        name: "write_file",
        description: "Replaces the text of a file, or creates it with the folders above it.",
        parameters: &[
            PATH,
            ("text", "string", "The whole text of the file afterwards."),
        ],
    },
    Tool {
        name: "replace_text",
        description: "Replaces one passage of a file, which must occur in it exactly once.",
        parameters: &[
            PATH,
            ("old_text", "string", "The passage, word for word."),
            ("new_text", "string", "What stands in its place afterwards."),
        ],
    },
    Tool {
        name: "search_files",
        description: "Finds lines that match a regular expression, with their files and numbers.",
        parameters: &[("pattern", "string", "The regular expression."), PATH],
    },
    Tool {
        name: "list_folder",
        description: "Lists the files and folders in a folder.",
        parameters: &[PATH],
    },
    Tool {
        name: "run_command",
        description: "Runs a command in the project's root and returns what it printed.",
        parameters: &[
            ("command", "string", "The command line, for a POSIX shell."),
            ("timeout", "integer", "Seconds after which it is ended."),
        ],
    },
];

impl Tool {
    fn to_json(&self) -> Value {
        let property = |&(name, kind, description): &Parameter| {
            let schema = json!({"type": kind, "description": description});
            (name.to_owned(), schema)
        };
        let properties: Map<String, Value> = self.parameters.iter().map(property).collect();
        let required: Vec<&str> = self.parameters.iter().take(1).map(|p| p.0).collect();
        json!({
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {"type": "object", "properties": properties, "required": required},
            },
        })
    }
}
