//! What may be asked: a line of words, `unstuck/1 cancel 42`.

use std::fmt;

/// The version of the protocol. A process and a command that speak different ones say so, instead of misunderstanding
/// each other.
pub const VERSION: u32 = 1;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Every task, with what it is up to.
    Ps,
    /// Who awaits whom, as a text for people.
    Tree,
    /// Who awaits whom, in graphviz's language.
    Dot,
    /// Asks the task with this number to end.
    Cancel(u64),
    /// The last reports of polls that did not come back.
    Stalls,
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let protocol = words.next().unwrap_or("");
        match protocol.strip_prefix("unstuck/").map(str::parse) {
            Some(Ok(VERSION)) => {}
            Some(Ok::<u32, _>(other)) => {
                return Err(format!(
                    "this process speaks version {VERSION} of the protocol and was asked in version {other}: use the \
                     unstuck-ps that goes with its unstuck"
                ));
            }
            _ => return Err(format!("not a request: say 'unstuck/{VERSION} ps'")),
        }
        let request = match (words.next(), words.next()) {
            (Some("ps"), None) => Self::Ps,
            (Some("tree"), None) => Self::Tree,
            (Some("dot"), None) => Self::Dot,
            (Some("stalls"), None) => Self::Stalls,
            (Some("cancel"), Some(id)) => {
                Self::Cancel(id.parse().map_err(|_| format!("not a task's number: {id:.40}"))?)
            }
            _ => return Err("not a request: there are ps, tree, dot, cancel NUMBER and stalls".into()),
        };
        words.next().map_or(Ok(request), |word| Err(format!("too many words: {word:.40}")))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unstuck/{VERSION} ")?;
        match self {
            Self::Ps => f.write_str("ps"),
            Self::Tree => f.write_str("tree"),
            Self::Dot => f.write_str("dot"),
            Self::Cancel(id) => write!(f, "cancel {id}"),
            Self::Stalls => f.write_str("stalls"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for request in [Request::Ps, Request::Tree, Request::Dot, Request::Cancel(42), Request::Stalls] {
            assert_eq!(Request::parse(&request.to_string()), Ok(request));
        }
    }

    #[test]
    fn what_is_no_request_is_told_what_would_be_one() {
        for line in
            ["", "ps", "GET / HTTP/1.1", "unstuck/1", "unstuck/1 pss", "unstuck/1 ps ps", "unstuck/x ps"]
        {
            assert!(Request::parse(line).is_err_and(|wrong| wrong.contains("not a request")), "{line}");
        }
        assert_eq!(Request::parse("unstuck/1 cancel me"), Err("not a task's number: me".into()));
        assert!(Request::parse("unstuck/1 cancel 1 2").is_err_and(|wrong| wrong.contains("too many words")));
        assert!(Request::parse("unstuck/2 ps").is_err_and(|wrong| wrong.contains("in version 2")));
    }
}
