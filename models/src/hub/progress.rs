//! Who hears how far a download is.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Hears how far the download of a model is.
pub trait Progress {
    /// `files` are missing in the cache, `bytes` long together. The first call, and the only one
    /// of its kind; a model that is in the cache makes no call at all.
    fn start(&mut self, files: usize, bytes: u64);

    /// `bytes` of those are on the disk; from an earlier interrupted download in part. May go back
    /// when a part turns out unusable.
    fn advance_to(&mut self, bytes: u64);

    /// Another process downloads `file`, and this one waits for it.
    fn wait(&mut self, file: &str);

    /// Everything is there.
    fn finish(&mut self);
}

/// Nobody hears it.
impl Progress for () {
    fn start(&mut self, _files: usize, _bytes: u64) {}

    fn advance_to(&mut self, _bytes: u64) {}

    fn wait(&mut self, _file: &str) {}

    fn finish(&mut self) {}
}

/// A progress bar on standard error; nothing where that is no terminal.
pub struct Bar {
    repo: String,
    bar: ProgressBar,
}

impl Bar {
    /// A bar for the download of `repo`, which is drawn once there is something to download.
    pub fn new(repo: &str) -> Self {
        Self {
            repo: repo.to_owned(),
            bar: ProgressBar::hidden(),
        }
    }
}

impl Progress for Bar {
    fn start(&mut self, files: usize, bytes: u64) {
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template)
            .expect("the template is a constant that indicatif knows")
            .progress_chars("=> ");
        let noun = if files == 1 { "file" } else { "files" };
        let message = format!("{}, {files} {noun}", self.repo);
        self.bar = ProgressBar::new(bytes)
            .with_style(style)
            .with_message(message)
            // A download that fails leaves the bar where it was.
            .with_finish(ProgressFinish::Abandon);
    }

    fn advance_to(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn wait(&mut self, file: &str) {
        let line = format!("waiting for another process that downloads {file}");
        self.bar.println(line);
    }

    fn finish(&mut self) {
        self.bar.finish();
    }
}
