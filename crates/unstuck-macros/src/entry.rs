//! Writes `#[main]` and `#[test]`: a plain function that starts a runtime and runs the user's `async fn` in it.

use proc_macro::{Ident, TokenStream, TokenTree};

use crate::args::Arguments;
use crate::function::Function;
use crate::template::{Error, fill};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Main => "main",
            Kind::Test => "test",
        }
    }
}

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::read(item, &format!("unstuck::{}", kind.name())) {
        Ok(function) => function,
        Err(error) => return error.tokens(),
    };
    let name = function.name.clone();
    write(kind, arguments, &function).unwrap_or_else(|error| placeholder(&name, &error))
}

fn write(kind: Kind, arguments: TokenStream, function: &Function) -> Result<TokenStream, Error> {
    let asyncness = function.require_async()?;
    check_signature(kind, function)?;
    let arguments = Arguments::read(arguments, kind)?;
    let marker = match kind {
        Kind::Main => TokenStream::new(),
        Kind::Test => fill("#[::core::prelude::v1::test]", &[]),
    };
    // A child of a process pool runs jobs here, and not the program.
    let first = match kind {
        Kind::Main => fill("::unstuck::__private::serve_if_child();", &[]),
        Kind::Test => TokenStream::new(),
    };
    let inner = fill(
        "#asyncness #keyword #name () #arrow #body",
        &[
            ("asyncness", TokenTree::from(asyncness).into()),
            ("keyword", TokenTree::from(function.keyword.clone()).into()),
            ("name", TokenTree::from(function.name.clone()).into()),
            ("arrow", function.arrow()),
            ("body", TokenTree::from(function.body.clone()).into()),
        ],
    );
    Ok(fill(
        "#attributes #marker #visibility #keyword #name () #arrow { #first #inner #run }",
        &[
            ("attributes", function.attributes.clone()),
            ("marker", marker),
            ("visibility", function.visibility.clone()),
            ("keyword", TokenTree::from(function.keyword.clone()).into()),
            ("name", TokenTree::from(function.name.clone()).into()),
            ("arrow", function.arrow()),
            ("first", first),
            ("inner", inner),
            ("run", run(kind, &arguments, &function.name)),
        ],
    ))
}

/// The expression that builds a runtime and runs the function called `name` there.
fn run(kind: Kind, arguments: &Arguments, name: &Ident) -> TokenStream {
    let call = |template| {
        let name = TokenTree::from(name.clone()).into();
        fill(template, &[("builder", builder(arguments)), ("name", name)])
    };
    if kind == Kind::Main {
        return call(match arguments.single {
            false => "::unstuck::__private::main(#builder, #name())",
            true => "::unstuck::__private::main_single(#builder, #name())",
        });
    }
    match (arguments.forbids_stalls(), arguments.single) {
        (true, false) => call("::unstuck::__private::no_stalls(#builder, #name())"),
        (true, true) => call("::unstuck::__private::no_stalls_single(#builder, #name())"),
        (false, false) => call("#builder.build().expect(\"the runtime could not be started\").run(#name())"),
        (false, true) => {
            call("#builder.build_single().expect(\"the runtime could not be started\").run(#name())")
        }
    }
}

/// The runtime's builder; only what was asked for is set.
fn builder(arguments: &Arguments) -> TokenStream {
    let mut builder = fill("::unstuck::Runtime::builder()", &[]);
    let settings = [
        (".worker_threads(#value)", &arguments.worker_threads),
        (".debug(#value)", &arguments.debug),
        (".start_paused(#value)", &arguments.start_paused),
        (".ctrl_c(#value)", &arguments.ctrl_c),
        (".on_exit(::unstuck::OnExit::#value)", &arguments.on_exit.clone().map(TokenTree::from)),
    ];
    for (call, value) in settings {
        if let Some(value) = value.clone() {
            builder.extend(fill(call, &[("value", value.into())]));
        }
    }
    builder
}

fn check_signature(kind: Kind, function: &Function) -> Result<(), Error> {
    let noun = match kind {
        Kind::Main => "the main function",
        Kind::Test => "a test",
    };
    if !function.parameters.stream().is_empty() {
        return Err(Error::new(function.parameters.span(), format!("{noun} takes no arguments")));
    }
    for clause in [&function.generics, &function.bounds] {
        if let Some(token) = clause.clone().into_iter().next() {
            return Err(Error::new(token.span(), format!("{noun} cannot be generic")));
        }
    }
    if let Some(token) = function.qualifiers.clone().into_iter().next() {
        return Err(Error::new(token.span(), format!("{noun} is a plain `async fn`, without `{token}`")));
    }
    if kind == Kind::Test && has_attribute(&function.attributes, "test") {
        let text = "remove #[test]: #[unstuck::test] already makes this a test";
        return Err(Error::new(function.name.span(), text));
    }
    Ok(())
}

/// True if `#[name]` is among the attributes.
pub(crate) fn has_attribute(attributes: &TokenStream, name: &str) -> bool {
    attributes.clone().into_iter().any(|token| match token {
        TokenTree::Group(group) => group.stream().to_string() == name,
        _ => false,
    })
}

/// A function of the right name around the error, so that no second error says that `main` is missing.
fn placeholder(name: &Ident, error: &Error) -> TokenStream {
    fill(
        "fn #name() { #error }",
        &[("name", TokenTree::from(name.clone()).into()), ("error", error.tokens())],
    )
}
