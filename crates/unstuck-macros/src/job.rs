//! Writes `#[job]`: the function as it was, and beside it a type of the same name that is the call put down in writing.
//!
//! Functions and types have different name spaces, so `thumbnail(..)` goes on calling and `thumbnail::job(..)` makes a job.
//! The job's fields are the arguments. They are written down as one tuple, which serde can do without a derive, and thus
//! without the six seconds of building one. Arguments and results whose type is written `Vec<u8>` are written down as
//! bytes: serde alone would take them for a list of numbers, one at a time.
//!
//! # Refused, each with one error that says what to do
//! A job has no runtime around it:
//! ```compile_fail
//! #[unstuck::job]
//! async fn waits() {}
//! ```
//! References point into this process:
//! ```compile_fail
//! #[unstuck::job]
//! fn measures(text: &str) -> usize { text.len() }
//! ```
//! ```compile_fail
//! #[unstuck::job]
//! fn names() -> &'static str { "job" }
//! ```
//! The other process knows it by one name:
//! ```compile_fail
//! #[unstuck::job]
//! fn shows<T: ToString>(value: T) -> String { value.to_string() }
//! ```
//! What cannot be written down cannot travel:
//! ```compile_fail
//! struct Handle(*const u8);
//! #[unstuck::job]
//! fn takes(handle: Handle) {}
//! ```
//! And a closure is no job:
//! ```compile_fail
//! let pool = unstuck::process::ProcessPool::builder().build().unwrap();
//! pool.spawn(|| 42);
//! ```

use proc_macro::{Ident, Span, TokenStream, TokenTree};

use crate::function::{Function, Parameter};
use crate::template::{Error, fill, text};

/// serde writes down tuples up to this length.
const MOST: usize = 16;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    // A job owns its arguments, whether its body needs to or not.
    let allow = fill("#[allow(clippy::needless_pass_by_value)]", &[]);
    let whole: TokenStream = [allow, item.clone()].into_iter().collect();
    match write(arguments, item) {
        Ok(job) => [whole, job].into_iter().collect(),
        // With the function still there, the error is the only one.
        Err(error) => [whole, error.tokens()].into_iter().collect(),
    }
}

/// One argument: the field that holds it.
struct Field {
    name: TokenStream,
    kind: TokenStream,
}

impl Field {
    /// Fills a template about this field.
    fn fill(&self, template: &str) -> TokenStream {
        fill(template, &[("name", self.name.clone()), ("kind", self.kind.clone())])
    }

    fn is_bytes(&self) -> bool {
        is_bytes(&self.kind)
    }
}

fn write(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if let Some(token) = arguments.into_iter().next() {
        return Err(Error::new(token.span(), "#[unstuck::job] takes no arguments"));
    }
    let function = Function::read(item, "unstuck::job").map_err(|error| Error {
        text: error.text.replace("an `async fn` with a body", "a function with a body"),
        ..error
    })?;
    check(&function)?;
    let fields: Vec<Field> =
        function.parameters().into_iter().enumerate().map(field).collect::<Result<_, _>>()?;
    if let Some(field) = fields.get(MOST) {
        let text = "a job takes 16 arguments at the most: put some of them into a struct";
        return Err(Error::new(span_of(&field.kind), text));
    }
    let all = |template| fields.iter().map(|field| field.fill(template)).collect::<TokenStream>();
    let either = |plain, bytes| {
        let one = |field: &Field| field.fill(if field.is_bytes() { bytes } else { plain });
        fields.iter().map(one).collect::<TokenStream>()
    };
    let output = function.output.clone().unwrap_or_else(|| fill("()", &[]));
    let name = TokenStream::from(TokenTree::from(function.name.clone()));
    let label = function.name.to_string();
    Ok(fill(
        TEMPLATE,
        &[
            ("visibility", function.visibility.clone()),
            ("job", name),
            ("label", text(&format!("::{}", label.strip_prefix("r#").unwrap_or(&label)))),
            ("declared", all("#name: #kind,")),
            ("names", all("#name,")),
            ("called", all("self.#name,")),
            ("written", either("&self.#name,", "wire::Bytes::new(&self.#name),")),
            ("read", either("#kind,", "wire::ByteBuf,")),
            ("rebuilt", either("#name,", "#name: #name.into_vec(),")),
            ("bytes", if is_bytes(&output) { fill(BYTES, &[]) } else { TokenStream::new() }),
            ("output", output),
        ],
    ))
}

const TEMPLATE: &str = "
    /// The function of this name as a job for another process: see its `job`.
    #[allow(non_camel_case_types)]
    #visibility struct #job { #declared }

    const _: () = {
        use ::unstuck::process::__private as wire;

        impl #job {
            /// A call of this function with these arguments, to be submitted to a process pool or any other executor.
            #[allow(clippy::too_many_arguments)]
            #[must_use = \"a job does nothing until it is submitted\"]
            #visibility fn job(#declared) -> Self {
                Self { #names }
            }
        }

        impl wire::Job for #job {
            type Output = #output;

            fn run(self) -> #output {
                #job(#called)
            }
        }

        impl wire::Serialize for #job {
            fn serialize<S: wire::Serializer>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error> {
                wire::Serialize::serialize(&(#written), serializer)
            }
        }

        impl<'de> wire::Deserialize<'de> for #job {
            fn deserialize<D: wire::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                let (#names): (#read) = wire::Deserialize::deserialize(from)?;
                ::core::result::Result::Ok(Self { #rebuilt })
            }
        }

        impl ::unstuck::process::PortableJob for #job {
            const NAME: &'static str = ::core::concat!(::core::module_path!(), #label);
            #bytes
        }

        ::unstuck::process::register!(#job);
    };
";

/// How a `Vec<u8>` comes back.
const BYTES: &str = "
    fn write_output(output: &Self::Output, bytes: Vec<u8>) -> ::core::result::Result<Vec<u8>, wire::postcard::Error> {
        wire::postcard::to_extend(wire::Bytes::new(output), bytes)
    }

    fn read_output(bytes: &[u8]) -> ::core::result::Result<Self::Output, wire::postcard::Error> {
        wire::postcard::from_bytes::<wire::ByteBuf>(bytes).map(wire::ByteBuf::into_vec)
    }
";

fn check(function: &Function) -> Result<(), Error> {
    if let Some(asyncness) = &function.asyncness {
        let text = "a job is a plain `fn`: its process has no runtime (use `unstuck::run` in the body if it needs one)";
        return Err(Error::new(asyncness.span(), text));
    }
    for clause in [&function.generics, &function.bounds] {
        if let Some(token) = clause.clone().into_iter().next() {
            let text = "a job cannot be generic: the other process knows it by its name alone";
            return Err(Error::new(token.span(), text));
        }
    }
    let other = function.qualifiers.clone().into_iter().find(|token| token.to_string() != "const");
    if let Some(token) = other {
        return Err(Error::new(token.span(), format!("a job is a plain `fn`, without `{token}`")));
    }
    if let Some(output) = function.output.clone().filter(borrows) {
        let text =
            "a job gives a value of its own, such as `String` instead of `&str`: a reference cannot travel";
        return Err(Error::new(span_of(&output), text));
    }
    Ok(())
}

fn field((index, parameter): (usize, Parameter)) -> Result<Field, Error> {
    let (name, rest) = match parameter {
        Parameter::Receiver { word, .. } => {
            let text = "a job is a free function: hand `self` over as an argument, if it can be written down";
            return Err(Error::new(word.span(), text));
        }
        Parameter::Named { name, rest, .. } => (name, rest),
        Parameter::Pattern { rest, .. } => {
            (Ident::new(&format!("argument_{index}"), Span::call_site()), rest)
        }
    };
    // Without the colon.
    let kind: TokenStream = rest.into_iter().skip(1).collect();
    if borrows(&kind) {
        let text = "arguments travel to another process: take a `String` instead of a `&str`, a `Vec<T>` instead of a `&[T]`";
        return Err(Error::new(span_of(&kind), text));
    }
    Ok(Field { name: TokenTree::from(name).into(), kind })
}

/// True for `&T`; a reference deeper inside is the compiler's to find.
fn borrows(kind: &TokenStream) -> bool {
    matches!(kind.clone().into_iter().next(), Some(TokenTree::Punct(first)) if first.as_char() == '&')
}

/// True for a type that is written `Vec<u8>`.
fn is_bytes(kind: &TokenStream) -> bool {
    let written: String = kind.clone().into_iter().map(|token| token.to_string()).collect();
    ["Vec<u8>", "std::vec::Vec<u8>", "::std::vec::Vec<u8>"].contains(&written.as_str())
}

fn span_of(tokens: &TokenStream) -> Span {
    tokens.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}
