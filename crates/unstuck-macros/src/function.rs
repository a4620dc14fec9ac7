//! Takes a function apart, from the outside: attributes, qualifiers, name, arguments, return type, body.
//!
//! Nothing is understood that need not be: types and bodies stay opaque tokens. Two things make this more than
//! cutting at the parentheses. `<` and `>` are no delimiters to `proc_macro`, so commas inside `HashMap<K, V>` must be
//! counted past (and the `>` of `->` must not close anything); and tokens that come out of a `macro_rules!` macro may
//! sit in invisible groups, which are opened here.

use std::collections::VecDeque;

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

use crate::template::Error;

/// A function, in pieces.
pub(crate) struct Function {
    /// `#[..]` and doc comments.
    pub(crate) attributes: TokenStream,
    /// `pub`, `pub(crate)` or nothing.
    pub(crate) visibility: TokenStream,
    /// `const`, `unsafe`, `extern "C"`; `async` is taken out.
    pub(crate) qualifiers: TokenStream,
    /// The `async` keyword, if there was one.
    pub(crate) asyncness: Option<Ident>,
    /// The `fn` keyword.
    pub(crate) keyword: Ident,
    pub(crate) name: Ident,
    /// `<'a, T>` with its angle brackets.
    pub(crate) generics: TokenStream,
    /// The parentheses and everything in them.
    pub(crate) parameters: Group,
    /// The type after `->`, if any.
    pub(crate) output: Option<TokenStream>,
    /// `where ..`
    pub(crate) bounds: TokenStream,
    pub(crate) body: Group,
}

/// One argument of a function.
pub(crate) enum Parameter {
    /// `self` in any form, and the word itself.
    Receiver { whole: TokenStream, word: Ident },
    /// `name: Type` or `mut name: Type`; `rest` is `: Type`, `attributes` what stands before.
    Named { attributes: TokenStream, mutable: Option<Ident>, name: Ident, rest: TokenStream },
    /// `pattern: Type`.
    Pattern { attributes: TokenStream, pattern: TokenStream, rest: TokenStream },
}

impl Function {
    /// Reads `item`, which should be a function with a body.
    pub(crate) fn read(item: TokenStream, attribute: &str) -> Result<Self, Error> {
        let mut tokens = Tokens::new(item);
        let not_a_function =
            |span| Error::new(span, format!("#[{attribute}] goes on an `async fn` with a body"));

        let attributes = tokens.attributes();
        let visibility = tokens.visibility();
        let mut qualifiers = TokenStream::new();
        let mut asyncness = None;
        let keyword = loop {
            match tokens.next() {
                Some(TokenTree::Ident(ident)) if is(&ident, "fn") => break ident,
                Some(TokenTree::Ident(ident)) if is(&ident, "async") => asyncness = Some(ident),
                Some(token) if is_qualifier(&token) => qualifiers.extend([token]),
                Some(other) => return Err(not_a_function(other.span())),
                None => return Err(not_a_function(Span::call_site())),
            }
        };
        let Some(TokenTree::Ident(name)) = tokens.next() else { return Err(not_a_function(keyword.span())) };
        let generics = tokens.angle_brackets();
        let Some(TokenTree::Group(parameters)) = tokens.next() else {
            return Err(not_a_function(name.span()));
        };
        let Some(TokenTree::Group(body)) = tokens.next_back() else {
            return Err(not_a_function(name.span()));
        };
        if body.delimiter() != Delimiter::Brace {
            return Err(not_a_function(name.span()));
        }
        let (output, bounds) = tokens.output_and_bounds();
        Ok(Self {
            attributes,
            visibility,
            qualifiers,
            asyncness,
            keyword,
            name,
            generics,
            parameters,
            output,
            bounds,
            body,
        })
    }

    /// The `async` keyword, or the error everybody knows.
    pub(crate) fn require_async(&self) -> Result<Ident, Error> {
        self.asyncness.clone().ok_or_else(|| {
            Error::new(self.keyword.span(), "the `async` keyword is missing from the function declaration")
        })
    }

    /// `-> Type`, or nothing.
    pub(crate) fn arrow(&self) -> TokenStream {
        let Some(output) = self.output.clone() else { return TokenStream::new() };
        crate::template::fill("-> #output", &[("output", output)])
    }

    /// The arguments, one by one.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        let mut tokens = Tokens::new(self.parameters.stream());
        let mut found = Vec::new();
        while !tokens.is_empty() {
            found.push(Parameter::read(tokens.until_comma()));
        }
        found
    }
}

impl Parameter {
    fn read(tokens: TokenStream) -> Self {
        let whole = tokens.clone();
        let mut tokens = Tokens::new(tokens);
        let attributes = tokens.attributes();
        let (pattern, rest) = tokens.split_at_colon();
        let mut idents = Vec::new();
        let mut plain = true;
        for token in pattern.clone() {
            match token {
                TokenTree::Ident(ident) => idents.push(ident),
                _ => plain = false,
            }
        }
        match &idents[..] {
            [.., last] if is(last, "self") => Self::Receiver { whole, word: last.clone() },
            [name] if plain && !is(name, "_") => {
                Self::Named { attributes, mutable: None, name: name.clone(), rest }
            }
            [mutable, name] if plain && is(mutable, "mut") => {
                Self::Named { attributes, mutable: Some(mutable.clone()), name: name.clone(), rest }
            }
            _ => Self::Pattern { attributes, pattern, rest },
        }
    }
}

/// Tokens, taken from either end.
struct Tokens(VecDeque<TokenTree>);

impl Tokens {
    /// Opens invisible groups at the top level; those inside types and bodies stay closed, they carry precedence.
    fn new(stream: TokenStream) -> Self {
        let mut flat = VecDeque::new();
        for token in stream {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                    flat.extend(Self::new(group.stream()).0);
                }
                other => flat.push_back(other),
            }
        }
        Self(flat)
    }

    fn next(&mut self) -> Option<TokenTree> {
        self.0.pop_front()
    }

    fn next_back(&mut self) -> Option<TokenTree> {
        self.0.pop_back()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at_punct(&self, char: char) -> bool {
        matches!(self.0.front(), Some(TokenTree::Punct(p)) if p.as_char() == char)
    }

    fn at_ident(&self, text: &str) -> bool {
        matches!(self.0.front(), Some(TokenTree::Ident(ident)) if is(ident, text))
    }

    /// Takes the next token over to `taken`.
    fn shift(&mut self, taken: &mut TokenStream) {
        taken.extend(self.next());
    }

    fn attributes(&mut self) -> TokenStream {
        let mut taken = TokenStream::new();
        while self.at_punct('#') {
            self.shift(&mut taken);
            self.shift(&mut taken);
        }
        taken
    }

    fn visibility(&mut self) -> TokenStream {
        let mut taken = TokenStream::new();
        if self.at_ident("pub") {
            self.shift(&mut taken);
            if matches!(self.0.front(), Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Parenthesis)
            {
                self.shift(&mut taken);
            }
        }
        taken
    }

    fn angle_brackets(&mut self) -> TokenStream {
        let mut taken = TokenStream::new();
        let mut angles = Angles::default();
        while (self.at_punct('<') || angles.depth > 0) && !self.is_empty() {
            angles.see(&self.0[0]);
            self.shift(&mut taken);
        }
        taken
    }

    /// Up to the next comma outside angle brackets, which is dropped.
    fn until_comma(&mut self) -> TokenStream {
        let mut taken = TokenStream::new();
        let mut angles = Angles::default();
        while !self.is_empty() {
            if self.at_punct(',') && angles.depth == 0 {
                self.next();
                break;
            }
            angles.see(&self.0[0]);
            self.shift(&mut taken);
        }
        taken
    }

    /// What stands before the first `:` that is not part of a `::`, and the rest with its colon.
    fn split_at_colon(mut self) -> (TokenStream, TokenStream) {
        let mut before = TokenStream::new();
        while let Some(token) = self.0.front() {
            match token {
                TokenTree::Punct(p) if p.as_char() == ':' && p.spacing() == Spacing::Joint => {
                    self.shift(&mut before);
                    self.shift(&mut before);
                }
                TokenTree::Punct(p) if p.as_char() == ':' => break,
                _ => self.shift(&mut before),
            }
        }
        (before, self.0.into_iter().collect())
    }

    /// `-> Type where ..`, the body already taken from the end.
    fn output_and_bounds(mut self) -> (Option<TokenStream>, TokenStream) {
        let mut output = None;
        if self.at_punct('-') {
            self.next();
            self.next();
            let mut kind = TokenStream::new();
            while !self.is_empty() && !self.at_ident("where") {
                self.shift(&mut kind);
            }
            output = Some(kind);
        }
        (output, self.0.into_iter().collect())
    }
}

/// How deep in angle brackets we are.
#[derive(Default)]
struct Angles {
    depth: usize,
    after_dash: bool,
}

impl Angles {
    fn see(&mut self, token: &TokenTree) {
        let TokenTree::Punct(punct) = token else {
            self.after_dash = false;
            return;
        };
        match punct.as_char() {
            '<' => self.depth += 1,
            '>' if !self.after_dash => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.after_dash = punct.as_char() == '-' && punct.spacing() == Spacing::Joint;
    }
}

fn is(ident: &Ident, text: &str) -> bool {
    ident.to_string() == text
}

/// `"C"` is one: the ABI of an `extern`.
fn is_qualifier(token: &TokenTree) -> bool {
    match token {
        TokenTree::Literal(_) => true,
        TokenTree::Ident(ident) => ["const", "unsafe", "extern"].iter().any(|word| is(ident, word)),
        _ => false,
    }
}
