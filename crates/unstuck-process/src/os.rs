//! What the operating system is asked for, and what to do where it has no such thing. All of it safe, through rustix.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};

/// In the child: it dies with the thread that started it, whatever happens to that.
///
/// False if `parent` is dead already.
pub(crate) fn die_with_parent(parent: u32) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Asked after, so that a parent cannot die unnoticed in between.
    rustix::process::getppid() == number(parent)
}

/// True if `stream` is one end of a pair that process `parent` made.
pub(crate) fn is_from(stream: BorrowedFd<'_>, parent: u32) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| Some(peer.pid) == number(parent))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        // No credentials: a socket on stdin has to do.
        let _ = parent;
        rustix::net::sockopt::socket_type(stream).is_ok()
    }
}

/// The number of a process, as rustix wants it.
fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// In the child: takes the socket from stdin, and leaves /dev/null there for the jobs, and for what they start.
pub(crate) fn take_stdin() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// In the child: no more memory than this many bytes of address space.
pub(crate) fn limit_memory(bytes: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    Ok(rustix::process::setrlimit(Resource::As, limit)?)
}

/// In the child: what `ps` and `top` show, instead of the "exe" of `/proc/self/exe`.
pub(crate) fn name_process() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::thread::set_name(c"unstuck-worker");
}

/// Something to poll that is readable when the child has ended; where the system has it.
pub(crate) fn death_of(pid: u32) -> Option<OwnedFd> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let pid = number(pid)?;
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = pid;
        None
    }
}

/// Kills a child together with what it has started: they are one process group.
///
/// Only for children that have not been waited for: until then nobody else can have their number.
pub(crate) fn kill_group(pid: u32) {
    if let Some(pid) = number(pid) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// Writes to a socket without waiting, and without a SIGPIPE where Rust has not switched it off.
pub(crate) fn send(socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = rustix::net::SendFlags::NOSIGNAL;
    #[cfg(target_vendor = "apple")]
    let flags = rustix::net::SendFlags::empty();
    Ok(rustix::net::send(socket, bytes, flags)?)
}

/// Much may be on its way in a socket: for a megabyte the two sides then wait for each other a few times, not a dozen times.
///
/// The system's limit (`net.core.wmem_max` on Linux) cuts it off without a word. No memory is used before something is sent.
pub(crate) fn widen(socket: &UnixStream) {
    const IN_FLIGHT: usize = 1 << 20;
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, IN_FLIGHT);
}

/// Reads from it do not wait any more.
pub(crate) fn do_not_wait(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// True if the child ends by itself within `limit`. It has closed its socket, so it will, in nearly no time.
///
/// It is only looked at, not waited for: its number, and its group, stay its own.
pub(crate) fn ends_within(pid: u32, limit: Duration) -> bool {
    let Some(pid) = number(pid) else { return false };
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let begun = Instant::now();
    let mut nap = Duration::from_micros(20);
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), look) {
            Ok(None) if begun.elapsed() < limit => thread::sleep(nap),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
        nap = (nap * 2).min(Duration::from_millis(5));
    }
}
