//! Files, without blocking a worker: what `std::fs` does, each call on a thread of the blocking pool.
//!
//! ```
//! use unstuck::fs;
//!
//! # unstuck::run(async {
//! let directory = std::env::temp_dir().join(format!("unstuck-{}", std::process::id()));
//! fs::create_dir_all(&directory).await?;
//! let file = directory.join("greeting");
//! fs::write(&file, "hello").await?;
//! assert_eq!(fs::read_to_string(&file).await?, "hello");
//! fs::remove_dir_all(&directory).await
//! # }).unwrap();
//! ```
//!
//! Just the calls that one makes without thinking, whole files at a time. For more, use `std::fs` in
//! [`to_thread`](crate::to_thread). **And put together what belongs together**: each of these calls goes to a thread and
//! back, so a thousand small files are read faster by one closure than by a thousand awaits:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let sizes: Vec<u64> = unstuck::to_thread(|| {
//!     let files = std::fs::read_dir("/var/log")?;
//!     files.map(|file| Ok(file?.metadata()?.len())).collect::<std::io::Result<_>>()
//! })
//! .await
//! .unwrap()?;
//! # Ok(()) }
//! ```
//!
//! The pool keeps room for these calls: closures that fill it up do not hold them up.
//!
//! # Cancellation
//! Dropped before it began, a call never happens. One that has begun goes on to its end: a file may be written although
//! nobody waits for it any more.
//!
//! # Errors
//! Those of `std::fs`. Of kind `Other` if the runtime has shut down.
//!
//! # Panics
//! Awaiting one outside a runtime panics.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

use crate::offload::own;

/// Reads a whole file: [`std::fs::read`].
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<u8>>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::read", Location::caller(), move || fs::read(path))
}

/// Reads a whole file of text: [`std::fs::read_to_string`].
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> impl Future<Output = io::Result<String>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::read_to_string", Location::caller(), move || fs::read_to_string(path))
}

/// Writes a whole file, and replaces what was there: [`std::fs::write`].
#[track_caller]
pub fn write(
    path: impl AsRef<Path>,
    contents: impl AsRef<[u8]> + Send + 'static,
) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::write", Location::caller(), move || fs::write(path, contents))
}

/// Copies a file, and gives its size: [`std::fs::copy`].
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<u64>> + Send {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    own("fs::copy", Location::caller(), move || fs::copy(from, to))
}

/// Renames or moves a file or directory: [`std::fs::rename`].
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    own("fs::rename", Location::caller(), move || fs::rename(from, to))
}

/// Size, times, permissions: [`std::fs::metadata`].
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::metadata", Location::caller(), move || fs::metadata(path))
}

/// Makes a directory and those above it: [`std::fs::create_dir_all`].
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::create_dir_all", Location::caller(), move || fs::create_dir_all(path))
}

/// Removes a file: [`std::fs::remove_file`].
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::remove_file", Location::caller(), move || fs::remove_file(path))
}

/// Removes an empty directory: [`std::fs::remove_dir`].
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::remove_dir", Location::caller(), move || fs::remove_dir(path))
}

/// Removes a directory and all that is in it: [`std::fs::remove_dir_all`].
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::remove_dir_all", Location::caller(), move || fs::remove_dir_all(path))
}

/// What is in a directory, sorted by name: [`std::fs::read_dir`], all at once and with each entry's type.
///
/// An entry that is removed meanwhile may be left out.
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<DirEntry>>> + Send {
    let path = path.as_ref().to_owned();
    own("fs::read_dir", Location::caller(), move || {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            DirEntry::of(entry.path(), entry.file_name(), entry.file_type())
        };
        let entries = fs::read_dir(path)?.map(entry).filter_map(Result::transpose);
        let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    })
}

/// One entry of a directory: see [`read_dir`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry {
    /// The directory's path and the name.
    pub path: PathBuf,
    /// The name alone.
    pub name: OsString,
    /// File, directory, symbolic link …
    pub file_type: FileType,
}

impl DirEntry {
    /// None if it is gone: some file systems do not keep the type beside the name, and are asked for it afterwards.
    fn of(path: PathBuf, name: OsString, file_type: io::Result<FileType>) -> io::Result<Option<Self>> {
        match file_type {
            Ok(file_type) => Ok(Some(Self { path, name, file_type })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_has_vanished_before_it_was_asked_for_its_type_is_left_out() {
        let entry = |file_type| DirEntry::of("there/it".into(), "it".into(), file_type);
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(entry(Err(gone)).unwrap(), None);
        let forbidden = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(entry(Err(forbidden)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let directory = fs::metadata(std::env::temp_dir()).unwrap().file_type();
        assert!(entry(Ok(directory)).unwrap().unwrap().file_type.is_dir());
    }
}
