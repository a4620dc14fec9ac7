//! Reads what stands in the parentheses of `#[main(..)]` and `#[test(..)]`.
//!
//! Every mistake is one error at the token that caused it, and every error says what would have been right.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::entry::Kind;
use crate::template::Error;

/// What was asked for; `None` where nothing was.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) single: bool,
    pub(crate) worker_threads: Option<TokenTree>,
    pub(crate) debug: Option<TokenTree>,
    pub(crate) start_paused: Option<TokenTree>,
    pub(crate) no_stalls: Option<TokenTree>,
    pub(crate) ctrl_c: Option<TokenTree>,
    pub(crate) on_exit: Option<Ident>,
}

impl Arguments {
    pub(crate) fn read(tokens: TokenStream, kind: Kind) -> Result<Self, Error> {
        let mut tokens = tokens.into_iter().map(opened).peekable();
        let mut seen: Vec<&'static str> = Vec::new();
        let mut arguments = Self::default();
        while let Some(token) = tokens.next() {
            let TokenTree::Ident(name) = token else { return Err(unknown(&token, kind)) };
            let meaning = meaning(&name, kind)?;
            if seen.contains(&meaning) {
                return Err(Error::new(name.span(), format!("`{meaning}` is given twice")));
            }
            seen.push(meaning);
            let value = if tokens.next_if(|token| is_punct(token, '=')).is_some() {
                Some(
                    tokens
                        .next()
                        .ok_or_else(|| Error::new(name.span(), format!("`{name} =` needs a value")))?,
                )
            } else {
                None
            };
            arguments.set(meaning, &name, value)?;
            match tokens.next() {
                None => break,
                Some(comma) if is_punct(&comma, ',') => {}
                Some(other) => {
                    return Err(Error::new(other.span(), "expected a comma before the next argument"));
                }
            }
        }
        arguments.agree(seen.contains(&"worker_threads"))
    }

    fn set(&mut self, meaning: &str, name: &Ident, value: Option<TokenTree>) -> Result<(), Error> {
        match meaning {
            "flavor" => self.single = flavor(name, value.as_ref())?,
            "worker_threads" => self.worker_threads = Some(count(name, value)?),
            "debug" => self.debug = Some(switch(name, value, false)?),
            "ctrl_c" => self.ctrl_c = Some(switch(name, value, false)?),
            "on_exit" => self.on_exit = Some(on_exit(name, value.as_ref())?),
            "no_stalls" => self.no_stalls = Some(switch(name, value, true)?),
            _ => self.start_paused = Some(switch(name, value, true)?),
        }
        Ok(())
    }

    fn agree(self, workers_given: bool) -> Result<Self, Error> {
        if self.single && workers_given {
            let span = self.worker_threads.as_ref().map_or_else(Span::call_site, TokenTree::span);
            let text = "`worker_threads` needs `flavor = \"multi\"`: the single-threaded loop has no workers";
            return Err(Error::new(span, text));
        }
        match &self.no_stalls {
            Some(no_stalls) if is_on(self.no_stalls.as_ref()) && is_on(self.start_paused.as_ref()) => {
                let text =
                    "`no_stalls` measures real time, and `start_paused` stops the clock: choose one of them";
                Err(Error::new(no_stalls.span(), text))
            }
            _ => Ok(self),
        }
    }

    /// Must the test fail when a poll does not come back?
    pub(crate) fn forbids_stalls(&self) -> bool {
        is_on(self.no_stalls.as_ref())
    }
}

/// The argument that `name` stands for: `paused` and `start_paused` are one.
fn meaning(name: &Ident, kind: Kind) -> Result<&'static str, Error> {
    match (name.to_string().as_str(), kind) {
        ("flavor", _) => Ok("flavor"),
        ("worker_threads", _) => Ok("worker_threads"),
        ("debug", _) => Ok("debug"),
        ("on_exit", Kind::Main) => Ok("on_exit"),
        ("ctrl_c", Kind::Main) => Ok("ctrl_c"),
        ("paused" | "start_paused", Kind::Test) => Ok("start_paused"),
        ("no_stalls", Kind::Test) => Ok("no_stalls"),
        _ => Err(unknown(&TokenTree::from(name.clone()), kind)),
    }
}

fn unknown(token: &TokenTree, kind: Kind) -> Error {
    let accepted = match kind {
        Kind::Main => "`flavor`, `worker_threads`, `debug`, `on_exit`, `ctrl_c`",
        Kind::Test => "`flavor`, `worker_threads`, `debug`, `start_paused`, `no_stalls`",
    };
    let name = kind.name();
    Error::new(token.span(), format!("unknown argument `{token}`: #[unstuck::{name}(..)] accepts {accepted}"))
}

fn flavor(name: &Ident, value: Option<&TokenTree>) -> Result<bool, Error> {
    let text = value.map(TokenTree::to_string);
    match text.as_deref() {
        Some("\"single\"") => Ok(true),
        Some("\"multi\"") => Ok(false),
        _ => Err(Error::new(span_of(value, name), "`flavor` is \"multi\" or \"single\"")),
    }
}

/// The variant of `OnExit` that is meant.
fn on_exit(name: &Ident, value: Option<&TokenTree>) -> Result<Ident, Error> {
    let span = span_of(value, name);
    let variant = match value.map(TokenTree::to_string).as_deref() {
        Some("\"cancel\"") => "Cancel",
        Some("\"drain\"") => "Drain",
        Some("\"detach\"") => "Detach",
        _ => return Err(Error::new(span, "`on_exit` is \"cancel\", \"drain\" or \"detach\"")),
    };
    Ok(Ident::new(variant, span))
}

fn count(name: &Ident, value: Option<TokenTree>) -> Result<TokenTree, Error> {
    let span = span_of(value.as_ref(), name);
    let digits = value.as_ref().map(TokenTree::to_string).unwrap_or_default().replace('_', "");
    match digits.strip_suffix("usize").unwrap_or(&digits).parse::<usize>() {
        Ok(1..) => value.ok_or_else(|| Error::new(span, "`worker_threads` is a number")),
        _ => {
            Err(Error::new(span, "`worker_threads` is a number of at least 1, such as `worker_threads = 4`"))
        }
    }
}

fn switch(name: &Ident, value: Option<TokenTree>, alone: bool) -> Result<TokenTree, Error> {
    let span = span_of(value.as_ref(), name);
    match value {
        None if alone => Ok(Ident::new("true", name.span()).into()),
        Some(TokenTree::Ident(value)) if ["true", "false"].contains(&value.to_string().as_str()) => {
            Ok(value.into())
        }
        _ => Err(Error::new(span, format!("`{name}` is true or false, as in `{name} = true`"))),
    }
}

fn is_on(switch: Option<&TokenTree>) -> bool {
    switch.is_some_and(|value| value.to_string() == "true")
}

fn span_of(value: Option<&TokenTree>, name: &Ident) -> Span {
    value.map_or_else(|| name.span(), TokenTree::span)
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == char)
}

/// The only token of an invisible group (a `$n:expr` of a `macro_rules!` macro), or the token itself.
fn opened(token: TokenTree) -> TokenTree {
    match &token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => only(group).unwrap_or(token),
        _ => token,
    }
}

fn only(group: &Group) -> Option<TokenTree> {
    let mut tokens = group.stream().into_iter();
    let first = tokens.next()?;
    tokens.next().is_none().then(|| opened(first))
}
