//! Writes `#[timed]` and `#[coroutine]`: the same function, its body wrapped in a future that watches it.
//!
//! `timed` stays an `async fn`. `coroutine` cannot: it must hear of a future that is dropped before its first poll,
//! so it becomes a plain function that returns the watched future at once. As in an `async fn`, every argument moves
//! into that future, used or not, and is dropped with it.

use proc_macro::{Ident, Span, TokenStream, TokenTree};

use crate::entry::has_attribute;
use crate::function::{Function, Parameter};
use crate::template::{Error, braced, fill, text};

pub(crate) fn timed(arguments: TokenStream, item: TokenStream) -> TokenStream {
    write_timed(arguments, item).unwrap_or_else(|error| error.tokens())
}

pub(crate) fn coroutine(arguments: TokenStream, item: TokenStream) -> TokenStream {
    write_coroutine(arguments, item).unwrap_or_else(|error| error.tokens())
}

fn write_timed(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    no_arguments(arguments, "timed")?;
    let function = Function::read(item, "unstuck::timed")?;
    let asyncness = function.require_async().map_err(|error| hint_at_order(error, &function))?;
    let parameters = function.parameters();
    let body = fill(
        "use ::unstuck::__private::{ByDebug as _, ByType as _};
         let args = ::unstuck::__private::arguments(&[#shown]);
         ::unstuck::__private::timed(#name, args, async move { #pinned #body }).await",
        &[
            ("shown", shown(&parameters)),
            ("name", name_of(&function)),
            ("pinned", pinned(&function)),
            // Without its braces, which would be flagged as needless next to ours.
            ("body", function.body.stream()),
        ],
    );
    Ok(assemble(&function, Some(asyncness), function.parameters.stream(), function.arrow(), body))
}

fn write_coroutine(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    no_arguments(arguments, "coroutine")?;
    let mut function = Function::read(item, "unstuck::coroutine")?;
    function.require_async()?;
    let (signature, moves) = moved(function.parameters());
    let output = function.output.clone().unwrap_or_else(|| fill("()", &[]));
    let arrow = fill("-> impl ::core::future::Future<Output = #output>", &[("output", output)]);
    let body = fill(
        "let place = ::core::panic::Location::caller();
         ::unstuck::__private::coroutine(#name, place, async move { #pinned #moves #body })",
        &[
            ("name", name_of(&function)),
            ("pinned", pinned(&function)),
            ("moves", moves),
            // Without its braces, which would be flagged as needless next to ours.
            ("body", function.body.stream()),
        ],
    );
    if !has_attribute(&function.attributes, "track_caller") {
        function.attributes.extend(fill("#[track_caller]", &[]));
    }
    Ok(assemble(&function, None, signature, arrow, body))
}

/// The function again, with another body and perhaps other arguments.
fn assemble(
    function: &Function,
    asyncness: Option<Ident>,
    parameters: TokenStream,
    arrow: TokenStream,
    body: TokenStream,
) -> TokenStream {
    fill(
        "#attributes #visibility #asyncness #qualifiers #keyword #name #generics (#parameters) #arrow #bounds #body",
        &[
            ("attributes", function.attributes.clone()),
            ("visibility", function.visibility.clone()),
            ("asyncness", asyncness.map(TokenTree::from).into_iter().collect()),
            ("qualifiers", function.qualifiers.clone()),
            ("keyword", TokenTree::from(function.keyword.clone()).into()),
            ("name", TokenTree::from(function.name.clone()).into()),
            ("generics", function.generics.clone()),
            ("parameters", parameters),
            ("arrow", arrow),
            ("bounds", function.bounds.clone()),
            ("body", braced(body, function.body.span())),
        ],
    )
}

/// `(&Arg(&a)).show(), ..`: by `Debug` where there is one, by type where not (autoref chooses, after David Tolnay).
fn shown(parameters: &[Parameter]) -> TokenStream {
    let names = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Named { name, .. } => Some(name.clone()),
        _ => None,
    });
    names
        .map(|name| {
            fill("(&::unstuck::__private::Arg(&#name)).show(),", &[("name", TokenTree::from(name).into())])
        })
        .collect()
}

/// The arguments of a coroutine's function, and the statements that move them into its future.
fn moved(parameters: Vec<Parameter>) -> (TokenStream, TokenStream) {
    let mut signature = TokenStream::new();
    let mut moves = TokenStream::new();
    for (index, parameter) in parameters.into_iter().enumerate() {
        let (declared, statement) = match parameter {
            Parameter::Receiver { whole, word } => {
                (fill("#whole,", &[("whole", whole)]), fill("let _ = &#word;", &[("word", one(word))]))
            }
            Parameter::Named { attributes, mutable, name, rest } => {
                let mutable = mutable.map(TokenTree::from).into_iter().collect();
                let statement =
                    fill("let #mutable #name = #name;", &[("mutable", mutable), ("name", one(name.clone()))]);
                (declaration(attributes, one(name), rest), statement)
            }
            Parameter::Pattern { attributes, pattern, rest } => {
                let name = one(Ident::new(&format!("argument_{index}"), Span::mixed_site()));
                // The whole argument moves in first: `let _ = x` alone would leave it outside.
                let statement = fill(
                    "let whole = #name; let #pattern = whole;",
                    &[("name", name.clone()), ("pattern", pattern)],
                );
                (declaration(attributes, name, rest), statement)
            }
        };
        signature.extend(declared);
        moves.extend(statement);
    }
    (signature, moves)
}

fn declaration(attributes: TokenStream, name: TokenStream, rest: TokenStream) -> TokenStream {
    fill("#attributes #name #rest,", &[("attributes", attributes), ("name", name), ("rest", rest)])
}

/// A `return` that never runs: it gives the async block the function's return type, as the function's own body has it.
///
/// A type that cannot be written in an expression (`impl Trait`, `!`) is left to inference.
fn pinned(function: &Function) -> TokenStream {
    let Some(output) = function.output.clone() else { return TokenStream::new() };
    if output.to_string() == "!" || contains(output.clone(), "impl") {
        return TokenStream::new();
    }
    fill("if false { return ::unstuck::__private::never::<#output>(); }", &[("output", output)])
}

fn contains(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident.to_string() == word,
        TokenTree::Group(group) => contains(group.stream(), word),
        _ => false,
    })
}

/// The function's name as a string literal.
fn name_of(function: &Function) -> TokenStream {
    let name = function.name.to_string();
    text(name.strip_prefix("r#").unwrap_or(&name))
}

fn one(ident: Ident) -> TokenStream {
    TokenTree::from(ident).into()
}

fn no_arguments(arguments: TokenStream, attribute: &str) -> Result<(), Error> {
    match arguments.into_iter().next() {
        None => Ok(()),
        Some(token) => Err(Error::new(token.span(), format!("#[unstuck::{attribute}] takes no arguments"))),
    }
}

/// `#[coroutine]` above `#[timed]` has already taken the `async` away.
fn hint_at_order(mut error: Error, function: &Function) -> Error {
    if function.output.clone().is_some_and(|output| contains(output, "Future")) {
        error.text.push_str(" (together with #[coroutine], write #[timed] above it)");
    }
    error
}
