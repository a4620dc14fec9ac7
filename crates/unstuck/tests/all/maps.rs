//! The READMEs that say which test holds which promise: each test that they name exists.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every function below `crates` and `examples`, by name.
fn functions() -> HashSet<String> {
    fn collect(folder: &Path, found: &mut HashSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let names = text.lines().filter_map(|line| line.trim_start().split_once("fn "));
                found.extend(names.map(|(_, rest)| word(rest).to_owned()));
            }
        }
    }
    let mut found = HashSet::new();
    for folder in ["crates", "examples/tests"] {
        collect(&root().join(folder), &mut found);
    }
    // The programs beside CPython's are declared by their names alone.
    let programs = include_str!("asyncio/beside_cpython/programs.txt");
    found.extend(programs.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned));
    found
}

/// The letters, digits and underscores at the beginning.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// `a_{b,c}_d` is `a_b_d` and `a_c_d`.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (middle, after) = rest.split_once('}').unwrap_or((rest, ""));
    middle.split(',').flat_map(|part| expanded(&format!("{before}{part}{after}"))).collect()
}

/// What a page names in `` `code` `` and looks like a test: many words, perhaps behind a path, perhaps cut off by `…`.
fn named(page: &str) -> Vec<String> {
    let code = page.split('`').skip(1).step_by(2);
    let names = code.flat_map(expanded).filter_map(|code| {
        let name = code.rsplit("::").next().unwrap_or_default().to_owned();
        let whole = word(&name).len() == name.trim_end_matches('…').len();
        let long = name.matches('_').count() >= 3 || code.contains("::");
        (whole && long && !code.contains(char::is_uppercase)).then_some(name)
    });
    names.collect()
}

#[test]
fn every_test_that_a_map_names_exists() {
    let functions = functions();
    for page in ["asyncio/README.md", "faults/README.md"] {
        let path = root().join("crates/unstuck/tests/all").join(page);
        let named = named(&fs::read_to_string(path).unwrap());
        assert!(named.len() > 50, "{page} names {} tests", named.len());
        for name in named {
            let exists = match name.strip_suffix('…') {
                Some(begin) => functions.iter().any(|function| function.starts_with(begin)),
                None => functions.contains(&name),
            };
            assert!(exists, "{page} names {name}, which does not exist");
        }
    }
}
