//! A progress bar of a download.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use indicatif::{ProgressBar, ProgressStyle};

/// Bytes fetched of all files, on standard error if that is a terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Bytes fetched of each file.
    files: Mutex<HashMap<String, u64>>,
}

impl Bar {
    /// A bar for the repository's name.
    pub(super) fn new(repo: &str) -> Self {
        let template = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
        Self {
            bar: bar.with_prefix(repo.to_owned()),
            files: Mutex::default(),
        }
    }
}

impl ProgressHandler for Bar {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else {
            return;
        };
        match event {
            DownloadEvent::Start { total_bytes, .. } => {
                // Every file announces itself too; the first announcement is of all of them.
                if self.bar.length() == Some(0) {
                    self.bar.set_length(*total_bytes);
                }
            }
            DownloadEvent::Progress { files } => {
                let mut seen = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                for file in files {
                    seen.insert(file.filename.clone(), file.bytes_completed);
                }
                self.bar.set_position(seen.values().sum());
            }
            DownloadEvent::AggregateProgress {
                bytes_completed, ..
            } => {
                self.bar.set_position(*bytes_completed);
            }
            // A single file is complete before the snapshot is.
            DownloadEvent::Complete => {
                if Some(self.bar.position()) >= self.bar.length() {
                    self.bar.finish();
                }
            }
        }
    }
}
