//! What is asked for.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use unstuck_inspect::Request;

use crate::Failure;

pub(crate) const HELP: &str = "\
Shows what the tasks of a live unstuck process are doing, also while every worker is stuck.

Usage: unstuck-ps [PID] [COMMAND] [OPTIONS]

The process must have been started by you, with UNSTUCK_INSPECT=1 or Builder::inspect(true).
PID may be left out if there is only one.

Commands:
  list         the processes that can be asked (the default without a PID)
  ps           every task: what it is up to, polls, time in polls, where it was spawned (the default with one)
  pstree       who awaits whom
  stalls       the last reports of polls that did not come back
  cancel ID    asks the task with this number to end

Options:
      --json             the process's own answer, one line of JSON
      --dot              pstree in graphviz's language: unstuck-ps pstree --dot | dot -Tsvg
  -w, --watch[=SECONDS]  again and again, every second unless it says otherwise
  -h, --help             this text
  -V, --version          the version

Exit status: 0 done, 1 nobody answers or there is no such task, 2 the command line is wrong.
";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) pid: Option<u32>,
    pub(crate) command: Command,
    pub(crate) json: bool,
    pub(crate) watch: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    List,
    Ask(Request),
}

pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Args, Failure> {
    read(arguments)
        .map_err(|wrong| Failure { status: 2, message: format!("{wrong} (see unstuck-ps --help)") })
}

fn read(arguments: Vec<OsString>) -> Result<Args, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let mut args = Args { pid: None, command: Command::List, json: false, watch: None };
    let (mut command, mut dot): (Option<Command>, bool) = (None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("json") => args.json = true,
            Arg::Long("dot") => dot = true,
            Arg::Short('w') | Arg::Long("watch") => {
                let seconds: f64 = parser.optional_value().map_or(Ok(1.0), |value| value.parse())?;
                let pause = Duration::try_from_secs_f64(seconds).map_err(|wrong| wrong.to_string())?;
                args.watch = Some(pause.max(Duration::from_millis(50)));
            }
            Arg::Short('h') | Arg::Long("help") => {
                return Ok(Args { command: Command::Help, watch: None, ..args });
            }
            Arg::Short('V') | Arg::Long("version") => {
                return Ok(Args { command: Command::Version, watch: None, ..args });
            }
            Arg::Value(word) if command.is_none() => match word.to_str() {
                Some(pid) if args.pid.is_none() && pid.starts_with(|c: char| c.is_ascii_digit()) => {
                    args.pid = Some(pid.parse().map_err(|_| format!("not a process's number: {pid}"))?);
                }
                Some("list") => command = Some(Command::List),
                Some("ps") => command = Some(Command::Ask(Request::Ps)),
                Some("pstree") => command = Some(Command::Ask(Request::Tree)),
                Some("stalls") => command = Some(Command::Ask(Request::Stalls)),
                Some("cancel") => command = Some(Command::Ask(Request::Cancel(task(&mut parser)?))),
                _ => return Err(format!("no such command: {}", word.to_string_lossy()).into()),
            },
            other => return Err(other.unexpected()),
        }
    }
    args.command = match (command, args.pid) {
        (Some(command), _) => command,
        (None, Some(_)) => Command::Ask(Request::Ps),
        (None, None) => Command::List,
    };
    match (&args.command, dot) {
        (Command::Ask(Request::Tree), true) => args.command = Command::Ask(Request::Dot),
        (_, true) => return Err("--dot goes with pstree".into()),
        _ => {}
    }
    if matches!(args.command, Command::Ask(Request::Cancel(_))) && args.watch.is_some() {
        return Err("--watch does not go with cancel".into());
    }
    Ok(args)
}

/// The number behind `cancel`.
fn task(parser: &mut Parser) -> Result<u64, lexopt::Error> {
    let number = parser.value().map_err(|_| "cancel which task? say its number, as ps shows it")?;
    let parsed = number.to_str().and_then(|number| number.parse().ok());
    parsed.ok_or_else(|| format!("not a task's number: {}", number.to_string_lossy()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Args {
        parse(line.split_whitespace().map(Into::into).collect()).unwrap()
    }

    fn wrong(line: &str) -> String {
        let failure = parse(line.split_whitespace().map(Into::into).collect()).unwrap_err();
        assert_eq!(failure.status, 2);
        assert!(failure.message.ends_with(" (see unstuck-ps --help)") && !failure.message.contains('\n'));
        failure.message
    }

    #[test]
    fn the_process_may_be_left_out_and_so_may_the_command() {
        assert_eq!(parsed("").command, Command::List);
        assert_eq!(parsed("ps").command, Command::Ask(Request::Ps));
        assert_eq!((parsed("12").pid, parsed("12").command), (Some(12), Command::Ask(Request::Ps)));
        assert_eq!(parsed("12 pstree").command, Command::Ask(Request::Tree));
        assert_eq!(parsed("pstree --dot").command, Command::Ask(Request::Dot));
        assert_eq!(parsed("12 cancel 7").command, Command::Ask(Request::Cancel(7)));
        assert!(parsed("--json stalls").json);
        assert_eq!(parsed("ps -w").watch, Some(Duration::from_secs(1)));
        assert_eq!(parsed("ps --watch=0.5").watch, Some(Duration::from_millis(500)));
        assert_eq!(parsed("12 ps --help").command, Command::Help);
        assert_eq!(parsed("-V").command, Command::Version);
    }

    #[test]
    fn a_wrong_command_line_is_told_in_one_line() {
        assert!(wrong("top").contains("no such command: top"));
        assert!(wrong("cancel").contains("cancel which task?"));
        assert!(wrong("cancel me").contains("not a task's number: me"));
        assert!(wrong("ps pstree").contains("pstree"));
        assert!(wrong("99999999999 ps").contains("not a process's number"));
        assert!(wrong("ps --dot").contains("goes with pstree"));
        assert!(wrong("cancel 1 --watch").contains("does not go with cancel"));
        assert!(wrong("--colour").contains("colour"));
        assert!(wrong("ps --watch=-1").contains("negative"));
    }
}
