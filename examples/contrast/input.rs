//! The work that `/digest` does: SHA-256 over the files of a directory.
//!
//! The files are real, the hashing is real, only the amount is chosen: a request hashes file after file, in a circle,
//! until it has seen as many bytes as this machine hashes in the time asked for (`--digest-ms`). A source tree is
//! small and SHA-256 is fast, so a request usually goes round the tree several times.
//!
//! The files are read once, at the start: what is measured is computing, not the disk.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::Failure;

/// How many different requests there are: `/digest?from=0` to `/digest?from=7`.
pub(crate) const STARTS: usize = 8;

/// As much of a directory as we care to keep in memory.
const MOST_BYTES: usize = 64 << 20;

pub(crate) struct Input {
    /// No file is empty.
    files: Vec<Vec<u8>>,
    pub(crate) total: usize,
    /// Files that could not be read.
    pub(crate) skipped: usize,
    /// Bytes that one request hashes.
    pub(crate) per_digest: usize,
    /// The right answers.
    expected: Vec<String>,
}

impl Input {
    /// Reads the files of `folder` and those below it.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let mut input = Self { files: Vec::new(), total: 0, skipped: 0, per_digest: 0, expected: Vec::new() };
        input
            .walk(folder)
            .map_err(|e| format!("cannot read {}: {e} (choose a directory with --dir)", folder.display()))?;
        if input.files.is_empty() {
            return Err(format!("no files to hash in {} (choose a directory with --dir)", folder.display()));
        }
        Ok(input)
    }

    /// Measures this machine and fixes how much a request hashes, so that it computes for about `time`.
    pub(crate) fn calibrated(mut self, time: Duration) -> Self {
        self.per_digest = 1 << 20;
        let begin = Instant::now();
        let mut fastest = Duration::MAX;
        while begin.elapsed() < Duration::from_millis(200) {
            let before = Instant::now();
            std::hint::black_box(self.digest(0));
            fastest = fastest.min(before.elapsed());
        }
        let bytes = time.as_secs_f64() / fastest.as_secs_f64() * self.per_digest as f64;
        self.per_digest = (bytes as usize).max(1);
        self.expected = (0..STARTS).map(|start| self.digest(start)).collect();
        self
    }

    /// The work: hashes files from number `start` on, in a circle, and the hashes of them into one.
    pub(crate) fn digest(&self, start: usize) -> String {
        let mut whole = Sha256::new();
        let mut left = self.per_digest;
        let mut index = start;
        while left > 0 {
            let file = &self.files[index % self.files.len()];
            let part = &file[..file.len().min(left)];
            whole.update(Sha256::digest(part));
            left -= part.len();
            index += 1;
        }
        whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The right answer for `start`.
    pub(crate) fn expected(&self, start: usize) -> &str {
        &self.expected[start]
    }

    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// Only the top folder must be readable; what cannot be read below it is counted and left out.
    fn walk(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            if name.as_encoded_bytes().starts_with(b".") || (kind.is_dir() && name == "target") {
                continue;
            }
            let read = if kind.is_dir() {
                self.walk(&entry.path())
            } else if kind.is_file() && self.total < MOST_BYTES {
                self.read(&entry.path())
            } else {
                Ok(())
            };
            self.skipped += usize::from(read.is_err());
        }
        Ok(())
    }

    fn read(&mut self, file: &Path) -> io::Result<()> {
        let mut bytes = fs::read(file)?;
        bytes.truncate(MOST_BYTES - self.total);
        self.total += bytes.len();
        if !bytes.is_empty() {
            self.files.push(bytes);
        }
        Ok(())
    }
}
