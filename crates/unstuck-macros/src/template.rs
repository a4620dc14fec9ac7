//! Puts tokens together: a template with holes, and errors that point at a place.
//!
//! A template is Rust text in which `#name` is a hole. Its own tokens get a `mixed_site` span, so that the variables
//! it declares cannot meet the user's; what fills the holes keeps the spans it came with.

use std::iter;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// One mistake of the user: what is wrong, and the token to underline.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) span: Span,
    pub(crate) text: String,
}

impl Error {
    pub(crate) fn new(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// `::core::compile_error! { "text" }`, underlining the span.
    pub(crate) fn tokens(&self) -> TokenStream {
        let mut text = Literal::string(&self.text);
        text.set_span(self.span);
        let argument = TokenStream::from(TokenTree::from(text));
        let mut group = Group::new(Delimiter::Brace, argument);
        group.set_span(self.span);
        [
            path_separator(self.span),
            TokenStream::from(TokenTree::from(Ident::new("core", self.span))),
            path_separator(self.span),
            TokenStream::from(TokenTree::from(Ident::new("compile_error", self.span))),
            TokenStream::from(TokenTree::from(punct('!', Spacing::Alone, self.span))),
            TokenStream::from(TokenTree::from(group)),
        ]
        .into_iter()
        .collect()
    }
}

/// Fills the holes of `template`.
pub(crate) fn fill(template: &str, holes: &[(&str, TokenStream)]) -> TokenStream {
    let tokens = template.parse().expect("templates of this crate are valid Rust tokens");
    fill_tokens(tokens, holes)
}

fn fill_tokens(tokens: TokenStream, holes: &[(&str, TokenStream)]) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut filled = TokenStream::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(p) if p.as_char() == '#' && is_ident(tokens.peek()) => {
                let name = tokens.next().expect("just seen").to_string();
                let (_, content) =
                    holes.iter().find(|(hole, _)| *hole == name).expect("every hole is filled");
                filled.extend(content.clone());
            }
            TokenTree::Group(group) => {
                let mut whole = Group::new(group.delimiter(), fill_tokens(group.stream(), holes));
                whole.set_span(Span::mixed_site());
                filled.extend(iter::once(TokenTree::from(whole)));
            }
            mut other => {
                other.set_span(Span::mixed_site());
                filled.extend(iter::once(other));
            }
        }
    }
    filled
}

/// `{ content }` with the span of the braces it replaces.
pub(crate) fn braced(content: TokenStream, span: Span) -> TokenStream {
    let mut group = Group::new(Delimiter::Brace, content);
    group.set_span(span);
    TokenTree::from(group).into()
}

/// A string literal.
pub(crate) fn text(content: &str) -> TokenStream {
    TokenTree::from(Literal::string(content)).into()
}

fn is_ident(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Ident(_)))
}

fn path_separator(span: Span) -> TokenStream {
    [punct(':', Spacing::Joint, span), punct(':', Spacing::Alone, span)]
        .map(TokenTree::from)
        .into_iter()
        .collect()
}

fn punct(char: char, spacing: Spacing, span: Span) -> Punct {
    let mut punct = Punct::new(char, spacing);
    punct.set_span(span);
    punct
}
