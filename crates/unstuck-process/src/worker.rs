//! A worker process as its keeper sees it: started, greeted, asked, and at the end buried.
//!
//! ```text
//!             start                 greet                 ask            ask …
//!   nothing ─────────▶ a process ─────────▶ ready for jobs ───▶ answer ───▶ …
//!                          │ no Ready, or another program          │ death, or too late
//!                          └───────────────────────────────────────┴──▶ kill the group, wait for it
//! ```
//! Whoever stops a job does so by killing the process, from any thread; the keeper hears of it as of any death: the socket
//! ends. Why it ended, the keeper's seat knows. A process that was forked by the job may hold the socket open beyond that
//! death, so the keeper also listens to the process itself (a pidfd, where there are such).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use unstuck_core::Loss;

use crate::builder::Recipe;
use crate::inside;
use crate::os;
use crate::portable::Registry;
use crate::seat::Seat;
use crate::stderr::Stderr;
use crate::wire::{self, Hello, Inbox, Kind, Ready};

/// A process that has closed its socket is as good as dead; if it is not after this long, it is killed.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// A child process, and the lines to it.
pub(crate) struct Worker {
    process: Child,
    /// Readable when the process has ended; none where the system has no such thing, or no file left for it.
    death: Option<OwnedFd>,
    /// It has ended.
    dead: bool,
    socket: UnixStream,
    inbox: Inbox,
    stderr: Stderr,
    /// Jobs that it has been given.
    jobs: u64,
    /// Nobody has waited for it: its number is its own.
    unburied: bool,
}

/// Why there is no answer.
pub(crate) enum Silence {
    /// The process ended.
    Dead,
    /// The process ended, and had not read the question.
    DeadBefore,
    /// The time was over. The process goes on.
    Late,
    /// It said something that means nothing.
    Nonsense(String),
}

/// What happens to a process that is looked at.
enum Look {
    /// It has said something, or closed its end, or there is room to say something to it.
    Talks,
    /// It has ended, and says no more.
    Dead,
    /// Not to it: somebody rang the bell.
    Rings,
    /// The time is over.
    Late,
    Nothing,
}

/// Why a process is not fit for jobs.
enum Ill {
    Ended,
    Says(String),
}

/// What became of a worker that waited for work.
pub(crate) enum Idle {
    /// Somebody rang the bell.
    Called,
    /// The time is over.
    Expired,
    /// The process died.
    Dead,
}

impl Worker {
    /// Starts a process and waits until it is ready for jobs. `seat` can kill it from then on.
    pub(crate) fn start(recipe: &Recipe, seat: &Seat) -> Result<Self, (Loss, String)> {
        let failed = |error: io::Error| {
            (
                Loss::Transport(format!("{} cannot be started: {error}", recipe.program.display())),
                String::new(),
            )
        };
        let mut worker = Self::spawn(recipe).map_err(failed)?;
        seat.has_process(worker.process.id());
        match worker.greet(recipe) {
            Ok(()) => Ok(worker),
            Err(ill) => {
                let (status, stderr) = worker.bury(seat);
                let why = match ill {
                    Ill::Says(why) => why,
                    Ill::Ended => format!("it ended before it was ready ({status}); {FORGOTTEN}"),
                };
                Err((Loss::Transport(why), stderr))
            }
        }
    }

    fn spawn(recipe: &Recipe) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        os::widen(&socket);
        os::widen(&theirs);
        let mut command = Command::new(&recipe.program);
        command.args(&recipe.arguments).env(inside::VARIABLE, std::process::id().to_string());
        command.envs(recipe.environment.iter().map(|(name, value)| (name, value)));
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        // A group of its own: Ctrl-C is for the parent to answer, and a kill takes what the job has started along.
        command.process_group(0);
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).stderr(Stdio::piped());
        if recipe.quiet_stdout {
            command.stdout(Stdio::null());
        }
        let mut process = command.spawn()?;
        let pipe = process.stderr.take().ok_or_else(|| io::Error::other("no pipe for its stderr"))?;
        let stderr = Stderr::new(pipe, recipe.forward_stderr)?;
        let death = os::death_of(process.id());
        Ok(Self {
            process,
            death,
            dead: false,
            socket,
            inbox: Inbox::default(),
            stderr,
            jobs: 0,
            unburied: true,
        })
    }

    /// Says hello, hears ready, runs the initializer.
    fn greet(&mut self, recipe: &Recipe) -> Result<(), Ill> {
        let until = Instant::now().checked_add(recipe.start_limit);
        let hello = wire::frame(Kind::Hello, &Hello { memory: recipe.memory_limit }).map_err(Ill::Says)?;
        self.ask(&hello, until).map_err(|silence| match silence {
            Silence::Dead | Silence::DeadBefore => Ill::Ended,
            Silence::Late => {
                Ill::Says(format!("it was not ready within {:?}; {FORGOTTEN}", recipe.start_limit))
            }
            Silence::Nonsense(why) => Ill::Says(why),
        })?;
        let same = self.answer(|kind, body| {
            let ready = postcard::from_bytes::<Ready>(body);
            kind == Kind::Ready && ready.is_ok_and(|it| it.fingerprint == Registry::get().fingerprint())
        });
        if same != Some(true) {
            return Err(Ill::Says("it is another program than this one, or another build of it".to_owned()));
        }
        let Some(initializer) = &recipe.initializer else { return Ok(()) };
        let why = match self.ask(initializer, until) {
            Ok(()) => {
                let failed = self.answer(|kind, body| match kind {
                    Kind::Done => None,
                    Kind::Panicked => {
                        Some(panic_text(body).unwrap_or("(its payload is not text)").to_owned())
                    }
                    _ => Some(sentence(body)),
                });
                match failed.flatten() {
                    None => return Ok(()),
                    Some(why) => format!("its initializer failed: {why}"),
                }
            }
            Err(Silence::Late) => format!("its initializer took longer than {:?}", recipe.start_limit),
            Err(_) => "its initializer ended the process".to_owned(),
        };
        Err(Ill::Says(why))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How many jobs it has been given.
    pub(crate) fn jobs(&self) -> u64 {
        self.jobs
    }

    /// A job begins.
    pub(crate) fn begin(&mut self) {
        self.jobs += 1;
        self.stderr.begin();
    }

    /// The end of what the present job has written to stderr.
    pub(crate) fn stderr(&mut self) -> String {
        self.stderr.text()
    }

    /// Sends a frame, and waits until the answer has arrived: see [`answer`](Self::answer).
    pub(crate) fn ask(&mut self, question: &[u8], until: Option<Instant>) -> Result<(), Silence> {
        let mut unsent = question;
        loop {
            if !unsent.is_empty() {
                match os::send(&self.socket, unsent) {
                    Ok(count) => unsent = &unsent[count..],
                    Err(error) if is_retry(&error) => {}
                    Err(_) => return Err(Silence::DeadBefore),
                }
            }
            match self.inbox.next() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(error) => return Err(Silence::Nonsense(error.to_string())),
            }
            if !self.wait(!unsent.is_empty(), until) {
                return Err(Silence::Late);
            }
            match self.inbox.fill(&mut self.socket) {
                Ok(0) => return Err(Silence::Dead),
                // The kernel says so if the other end was closed with something unread in it: our question.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Silence::DeadBefore);
                }
                // Dead, and its end of the socket lives on in a process that it has forked.
                Err(_) if self.dead => return Err(Silence::Dead),
                Err(error) if !is_retry(&error) => return Err(Silence::Dead),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Hands the answer that has arrived to `read`, and forgets it.
    pub(crate) fn answer<R>(&mut self, read: impl FnOnce(Kind, &[u8]) -> R) -> Option<R> {
        let answer = self.inbox.next().ok().flatten().map(|(kind, body)| read(kind, body));
        self.inbox.pop();
        answer
    }

    /// Waits until something can be read, or written if `unsent`, or the process has ended. False if it is too late.
    fn wait(&mut self, unsent: bool, until: Option<Instant>) -> bool {
        let flags = if unsent { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        loop {
            match self.look(flags, None, until) {
                Look::Talks | Look::Dead => return true,
                Look::Late => return false,
                Look::Rings | Look::Nothing => {}
            }
        }
    }

    /// Waits for the bell, and looks after the process meanwhile.
    pub(crate) fn idle(&mut self, bell: &UnixStream, until: Option<Instant>) -> Idle {
        loop {
            match self.look(PollFlags::IN, Some(bell), until) {
                // Nobody has asked it anything: whatever it says, it is no longer what it was.
                Look::Talks | Look::Dead => return Idle::Dead,
                Look::Rings => return Idle::Called,
                Look::Late => return Idle::Expired,
                Look::Nothing => {}
            }
        }
    }

    /// Sleeps until something happens, or until `until`, and takes in what was written to stderr.
    fn look(&mut self, flags: PollFlags, bell: Option<&UnixStream>, until: Option<Instant>) -> Look {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let (with_bell, with_stderr, with_death) =
            (bell.is_some(), !self.stderr.ended(), self.death.is_some());
        let socket = self.socket.as_fd();
        // What is not there is the socket once more, asked for nothing.
        let fd = |there: bool, fd| if there { (fd, PollFlags::IN) } else { (socket, PollFlags::empty()) };
        let asked = [
            (socket, flags),
            fd(with_bell, bell.map_or(socket, AsFd::as_fd)),
            fd(with_stderr, self.stderr.pipe.as_fd()),
            fd(with_death, self.death.as_ref().map_or(socket, AsFd::as_fd)),
        ];
        let mut fds = asked.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
        let ready = poll_for(&mut fds, left);
        let [talks, rings, writes, dies] = fds.map(|fd| !fd.revents().is_empty());
        let writes = writes && with_stderr;
        if writes {
            self.stderr.sip();
        }
        self.dead |= dies && with_death;
        match () {
            () if talks => Look::Talks,
            () if self.dead => Look::Dead,
            () if rings && with_bell => Look::Rings,
            // Whoever only floods stderr is late like everybody else.
            () if (writes || !ready) && left.is_some_and(|left| left.is_zero()) => Look::Late,
            () => Look::Nothing,
        }
    }

    /// Sees how it ended, and with what last words; kills what it left behind.
    pub(crate) fn bury(mut self, seat: &Seat) -> (String, String) {
        let status = self.end(seat, LAST_BREATH, true);
        (status.map_or_else(|error| error.to_string(), |status| status.to_string()), self.stderr.text())
    }

    /// As [`bury`](Self::bury), with the death as a reason for an error.
    pub(crate) fn autopsy(mut self, seat: &Seat) -> (Loss, String) {
        let loss = match self.end(seat, LAST_BREATH, true) {
            Ok(status) => match status.signal() {
                Some(signal) => Loss::Signal(signal),
                None => Loss::Exit(status.code().unwrap_or_default()),
            },
            Err(error) => Loss::Transport(format!("it is gone, and nobody knows how ({error})")),
        };
        (loss, self.stderr.text())
    }

    /// Kills it at once, and gives its last words.
    pub(crate) fn kill(mut self, seat: &Seat) -> String {
        let _ = self.end(seat, Duration::ZERO, true);
        self.stderr.text()
    }

    /// Lets it end by itself: it has no job, and finds the socket closed.
    pub(crate) fn dismiss(mut self, seat: &Seat) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        // It closes its end when it has ended: until then there is something to wait for.
        let until = Instant::now() + LAST_BREATH;
        while self.wait(false, Some(until)) {
            match self.inbox.fill(&mut self.socket) {
                Err(error) if is_retry(&error) && !self.dead => {}
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let _ = self.end(seat, LAST_BREATH, false);
        self.stderr.finish();
    }

    /// Gives it `patience` to end by itself, then kills it, and waits for it. What it has started is killed with it if
    /// `all`: that is for a process that was lost, not for one that ends in order.
    fn end(&mut self, seat: &Seat, patience: Duration, all: bool) -> io::Result<ExitStatus> {
        seat.has_no_process();
        self.unburied = false;
        let by_itself = !patience.is_zero() && os::ends_within(self.process.id(), patience);
        if all || !by_itself {
            os::kill_group(self.process.id());
        }
        self.process.wait()
    }
}

impl Drop for Worker {
    /// Only if the keeper panics.
    fn drop(&mut self) {
        if self.unburied {
            os::kill_group(self.process.id());
            let _ = self.process.wait();
        }
    }
}

const FORGOTTEN: &str = "perhaps it does not serve: call unstuck::process::serve_if_child() first in main (#[unstuck::main] does), or \
                         write unstuck::process::serve_in_tests!() in the test binary";

/// The message in the body of a panic's frame.
pub(crate) fn panic_text(body: &[u8]) -> Option<&str> {
    postcard::from_bytes::<Option<&str>>(body).ok().flatten()
}

/// The sentence in the body of a frame that says what went wrong.
pub(crate) fn sentence(body: &[u8]) -> String {
    postcard::from_bytes::<&str>(body).unwrap_or("no reason was given").to_owned()
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// True if something happened, or may have; false if the time was over.
pub(crate) fn poll_for(fds: &mut [PollFd<'_>], left: Option<Duration>) -> bool {
    let left = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    !matches!(poll(fds, left.as_ref()), Ok(0))
}
