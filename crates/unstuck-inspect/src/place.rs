//! Where the sockets lie: a folder that nobody but the owner can look into.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The user that this process acts for.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The folders where this user's sockets may lie, the preferred one first: a process that was started without
/// `XDG_RUNTIME_DIR` is to be found from a shell that has it.
#[must_use]
pub fn candidates() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|folder| folder.is_absolute() && folder.is_dir());
    let fallback = PathBuf::from(format!("/tmp/unstuck-{}", user()));
    runtime.map(|folder| folder.join("unstuck")).into_iter().chain([fallback]).collect()
}

/// Makes the folder if it is not there, and looks whether it is the owner's alone.
///
/// # Errors
/// The system's; or it is somebody else's, open to others, or no folder. Everybody may write to `/tmp`: whoever made it
/// there first would own what we put into it.
pub fn secure(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => is_ours_alone(folder),
    }
}

/// Looks whether the folder is the owner's alone. Does not follow a link.
///
/// # Errors
/// As [`secure`].
pub fn is_ours_alone(folder: &Path) -> io::Result<()> {
    let is = fs::symlink_metadata(folder)?;
    let wrong = if !is.is_dir() {
        "is no folder"
    } else if is.uid() != user() {
        "belongs to somebody else"
    } else if is.mode() & 0o077 != 0 {
        "is open to other users (its mode should be 0700)"
    } else {
        return Ok(());
    };
    let path = folder.display();
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{path} {wrong}: remove it, or set XDG_RUNTIME_DIR to a folder of yours"),
    ))
}

/// The socket of the process `pid`.
#[must_use]
pub fn socket(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.sock"))
}

/// The sockets in a folder, with the processes they are named after.
pub(crate) fn sockets(folder: &Path) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter_map(|path| {
            let pid = path.file_name()?.to_str()?.strip_suffix(".sock")?.parse().ok()?;
            Some((pid, path))
        })
        .collect()
}
