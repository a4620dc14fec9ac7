//! The system calls a thread may be stuck in, by number.
//!
//! Numbers are Linux's, from `asm/unistd_64.h` (x86-64) and `asm-generic/unistd.h` (aarch64). Calls that never wait
//! are left out; one that is missing is reported by its number, which is less kind but not wrong.

use std::borrow::Cow;

use First::{Fd, Other};

/// What a system call's first argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// A file descriptor worth showing.
    Fd,
    /// Anything else.
    Other,
}

/// The name of system call `number` on this machine's architecture, and what its first argument is.
pub(super) fn lookup(number: i64) -> (Cow<'static, str>, First) {
    let found = CALLS.iter().find(|&&(x86_64, aarch64, ..)| {
        (cfg!(target_arch = "x86_64") && x86_64 == number)
            || (cfg!(target_arch = "aarch64") && aarch64 == number)
    });
    match found {
        Some(&(_, _, first, name)) => (Cow::Borrowed(name), first),
        None => (Cow::Owned(format!("syscall {number}")), Other),
    }
}

/// The call does not exist there.
const NONE: i64 = i64::MIN;

/// Number on x86-64, number on aarch64, first argument, name.
#[rustfmt::skip]
const CALLS: &[(i64, i64, First, &str)] = &[
    (0, 63, Fd, "read"),
    (1, 64, Fd, "write"),
    (19, 65, Fd, "readv"),
    (20, 66, Fd, "writev"),
    (17, 67, Fd, "pread64"),
    (18, 68, Fd, "pwrite64"),
    (295, 69, Fd, "preadv"),
    (296, 70, Fd, "pwritev"),
    (45, 207, Fd, "recvfrom"),
    (44, 206, Fd, "sendto"),
    (47, 212, Fd, "recvmsg"),
    (46, 211, Fd, "sendmsg"),
    (299, 243, Fd, "recvmmsg"),
    (307, 269, Fd, "sendmmsg"),
    (43, 202, Fd, "accept"),
    (288, 242, Fd, "accept4"),
    (42, 203, Fd, "connect"),
    (232, NONE, Fd, "epoll_wait"),
    (281, 22, Fd, "epoll_pwait"),
    (441, 441, Fd, "epoll_pwait2"),
    (73, 32, Fd, "flock"),
    (72, 25, Fd, "fcntl"),
    (16, 29, Fd, "ioctl"),
    (74, 82, Fd, "fsync"),
    (75, 83, Fd, "fdatasync"),
    (306, 267, Fd, "syncfs"),
    (277, 84, Fd, "sync_file_range"),
    (285, 47, Fd, "fallocate"),
    (77, 46, Fd, "ftruncate"),
    (217, 61, Fd, "getdents64"),
    (40, 71, Fd, "sendfile"),
    (275, 76, Fd, "splice"),
    (276, 77, Fd, "tee"),
    (326, 285, Fd, "copy_file_range"),
    (3, 57, Fd, "close"),
    (426, 426, Fd, "io_uring_enter"),
    (7, NONE, Other, "poll"),
    (271, 73, Other, "ppoll"),
    (23, NONE, Other, "select"),
    (270, 72, Other, "pselect6"),
    (202, 98, Other, "futex"),
    (449, 449, Other, "futex_waitv"),
    (35, 101, Other, "nanosleep"),
    (230, 115, Other, "clock_nanosleep"),
    (24, 124, Other, "sched_yield"),
    (34, NONE, Other, "pause"),
    (219, 128, Other, "restart_syscall"),
    (61, 260, Other, "wait4"),
    (247, 95, Other, "waitid"),
    (128, 137, Other, "rt_sigtimedwait"),
    (130, 133, Other, "rt_sigsuspend"),
    (2, NONE, Other, "open"),
    (257, 56, Other, "openat"),
    (437, 437, Other, "openat2"),
    (4, NONE, Other, "stat"),
    (262, 79, Other, "newfstatat"),
    (332, 291, Other, "statx"),
    (258, 34, Other, "mkdirat"),
    (316, 276, Other, "renameat2"),
    (87, NONE, Other, "unlink"),
    (263, 35, Other, "unlinkat"),
    (162, 81, Other, "sync"),
    (26, 227, Other, "msync"),
    (11, 215, Other, "munmap"),
    (9, 222, Other, "mmap"),
    (28, 233, Other, "madvise"),
    (208, 4, Other, "io_getevents"),
    (70, 188, Other, "msgrcv"),
    (69, 189, Other, "msgsnd"),
    (65, 193, Other, "semop"),
    (220, 192, Other, "semtimedop"),
    (243, 183, Other, "mq_timedreceive"),
    (242, 182, Other, "mq_timedsend"),
    (56, 220, Other, "clone"),
    (435, 435, Other, "clone3"),
    (58, NONE, Other, "vfork"),
    (59, 221, Other, "execve"),
    (318, 278, Other, "getrandom"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_two_names() {
        for (i, a) in CALLS.iter().enumerate() {
            for b in &CALLS[i + 1..] {
                assert!(a.0 != b.0, "{} and {} on x86-64", a.3, b.3);
                assert!(a.1 != b.1 || a.1 == NONE, "{} and {} on aarch64", a.3, b.3);
            }
        }
    }

    #[test]
    fn a_call_without_a_name_keeps_its_number() {
        assert_eq!(lookup(99_999), ("syscall 99999".into(), Other));
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn read_and_futex_go_by_their_names() {
        let (read, futex) = if cfg!(target_arch = "x86_64") { (0, 202) } else { (63, 98) };
        assert_eq!(lookup(read), ("read".into(), Fd));
        assert_eq!(lookup(futex), ("futex".into(), Other));
    }
}
