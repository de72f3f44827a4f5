//! The workloads' names.

use std::fmt;

use anyhow::bail;

/// What is measured: one figure each.
///
/// Written as `decode-1-128` (one stream behind 128 tokens), `streams-64`, `prefill-8x8192`,
/// `ttft-8192-90` (of 8,192 tokens 90 % are cached), `mixed`, `mixed-shared` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// From the process' start until requests are taken: seconds.
    Start,
    /// One stream behind a prompt: milliseconds per token.
    Decode {
        /// Tokens of the prompt.
        prompt: usize,
    },
    /// Streams at once, 256 tokens behind 128 each: output tokens per second, prefill included.
    Streams {
        /// How many.
        count: usize,
    },
    /// Prompts at once, of one output token each: prompt tokens per second.
    Prefill {
        /// Prompts.
        count: usize,
        /// Tokens of each.
        prompt: usize,
    },
    /// Time to the first token of a prompt whose first tokens are cached: milliseconds.
    Ttft {
        /// Tokens of the prompt.
        prompt: usize,
        /// Of these, cached.
        cached: usize,
        /// The same in %.
        percent: u32,
    },
    /// 512 requests of many lengths at once: seconds until all are answered.
    Mixed {
        /// Tokens that all prompts begin with.
        shared: usize,
    },
    /// Clients of a server, all at once, 256 tokens behind 128 each: output tokens per second.
    Http,
    /// The server's processor time meanwhile: microseconds per output token.
    HttpCpu,
}

impl Workload {
    /// Those of the engine, in the order in which they are measured.
    pub const OF_THE_ENGINE: [Self; 16] = [
        Self::Start,
        Self::Decode { prompt: 128 },
        Self::Decode { prompt: 16_384 },
        Self::Streams { count: 64 },
        Self::Streams { count: 256 },
        Self::Prefill {
            count: 8,
            prompt: 8_192,
        },
        Self::Prefill {
            count: 1,
            prompt: 32_768,
        },
        Self::ttft(8_192, 0, 0),
        Self::ttft(8_192, 4_096, 50),
        Self::ttft(8_192, 7_376, 90),
        Self::ttft(8_192, 8_112, 99),
        Self::ttft(32_768, 0, 0),
        Self::ttft(32_768, 29_488, 90),
        Self::ttft(32_768, 32_448, 99),
        Self::Mixed { shared: 0 },
        Self::Mixed { shared: 1_024 },
    ];

    /// Those of a server.
    pub const OF_A_SERVER: [Self; 2] = [Self::Http, Self::HttpCpu];

    const fn ttft(prompt: usize, cached: usize, percent: u32) -> Self {
        Self::Ttft {
            prompt,
            cached,
            percent,
        }
    }

    /// The figure's unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Start | Self::Mixed { .. } => "s",
            Self::Decode { .. } => "ms/token",
            Self::Streams { .. } | Self::Prefill { .. } | Self::Http => "tok/s",
            Self::Ttft { .. } => "ms",
            Self::HttpCpu => "us/token",
        }
    }

    /// Whether a higher figure is better.
    pub fn is_rate(self) -> bool {
        self.unit() == "tok/s"
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Decode { prompt } => write!(f, "decode-1-{prompt}"),
            Self::Streams { count } => write!(f, "streams-{count}"),
            Self::Prefill { count, prompt } => write!(f, "prefill-{count}x{prompt}"),
            Self::Ttft {
                prompt, percent, ..
            } => write!(f, "ttft-{prompt}-{percent}"),
            Self::Mixed { shared: 0 } => f.write_str("mixed"),
            Self::Mixed { .. } => f.write_str("mixed-shared"),
            Self::Http => f.write_str("http-64"),
            Self::HttpCpu => f.write_str("http-64-cpu"),
        }
    }
}

/// The engine's workloads of these names, or of names that go on behind one of them with a `-`; all of
/// them without any name.
///
/// # Errors
/// A name that is none.
pub fn select(names: &[String]) -> anyhow::Result<Vec<Workload>> {
    let has = |name: &str, workload: &Workload| {
        let full = workload.to_string();
        let rest = full.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let all = Workload::OF_THE_ENGINE;
    if let Some(name) = names.iter().find(|name| !all.iter().any(|w| has(name, w))) {
        let known = all.map(|workload| workload.to_string()).join(", ");
        bail!("{name} is no workload; there are {known}");
    }
    let is_wanted = |workload: &Workload| names.iter().any(|name| has(name, workload));
    Ok(all
        .into_iter()
        .filter(|workload| names.is_empty() || is_wanted(workload))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        let names: Vec<String> = of.iter().map(|&name| name.to_owned()).collect();
        let selected = select(&names).unwrap();
        selected.iter().map(Workload::to_string).collect()
    }

    #[test]
    fn a_name_selects_what_goes_on_behind_it() {
        assert_eq!(names(&["mixed"]), ["mixed", "mixed-shared"]);
        assert_eq!(
            names(&["ttft-32768-99", "start"]),
            ["start", "ttft-32768-99"]
        );
        assert_eq!(names(&["ttft-8192"]).len(), 4);
        assert_eq!(names(&[]).len(), 16);
        let error = select(&["ttft-8".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("ttft-8 is no workload; there are start, "),
            "{error}"
        );
    }
}
