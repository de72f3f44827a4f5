//! The segment files of a folder.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::index::{Index, Place};
use crate::record::{Format, HEADER, Hash};

/// The end of a segment's name.
const EXTENSION: &str = "kv";

/// A segment file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

/// Where the segments of a digest lie.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The beginning of their names: of the digest, in hexadecimal.
    prefix: String,
}

impl Folder {
    pub(crate) fn new(path: &Path, digest: &Hash) -> Self {
        let prefix = digest[..8].iter().map(|byte| format!("{byte:02x}"));
        Self {
            path: path.to_owned(),
            prefix: prefix.collect(),
        }
    }

    /// The file of a segment.
    pub(crate) fn file(&self, number: u64) -> PathBuf {
        self.path
            .join(format!("{}-{number:08}.{EXTENSION}", self.prefix))
    }

    /// Finds the segments, the oldest first, and puts their records into `index`. What cannot be
    /// used is skipped and told in the log.
    pub(crate) fn scan(&self, format: &Format, index: &mut Index) -> io::Result<Vec<Segment>> {
        fs::create_dir_all(&self.path)?;
        let mut numbers = Vec::new();
        let mut foreign = 0;
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            match self.number(&name.to_string_lossy()) {
                Some(number) => numbers.push(number),
                None => foreign += 1,
            }
        }
        if foreign > 0 {
            tracing::info!(
                files = foreign,
                folder = %self.path.display(),
                "files of other models or of something else are left alone"
            );
        }
        numbers.sort_unstable();
        let mut segments = Vec::new();
        for number in numbers {
            match self.scan_segment(number, format, index) {
                Ok(bytes) => segments.push(Segment { number, bytes }),
                Err(error) => tracing::warn!(
                    file = %self.file(number).display(),
                    %error,
                    "a file of cached blocks is skipped"
                ),
            }
        }
        Ok(segments)
    }

    /// The number in a segment's name.
    fn number(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let digits = rest.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        digits.parse().ok()
    }

    fn scan_segment(&self, number: u64, format: &Format, index: &mut Index) -> io::Result<u64> {
        let mut file = File::open(self.file(number))?;
        let bytes = file.metadata()?.len();
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        if header[..] != format.header() {
            let message = "its header is that of another format, or damaged";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let record_len = format.record_len() as u64;
        let records = (bytes - HEADER as u64) / record_len;
        if !(bytes - HEADER as u64).is_multiple_of(record_len) {
            tracing::warn!(
                file = %self.file(number).display(),
                "the last block of a file is incomplete, and skipped"
            );
        }
        let mut hash: Hash = [0; 32];
        for record in 0..records {
            file.seek(SeekFrom::Start(HEADER as u64 + record * record_len))?;
            file.read_exact(&mut hash)?;
            let place = Place {
                segment: number,
                record,
            };
            index.places.insert(hash, place);
        }
        Ok(bytes)
    }
}
