//! The house's invariants, written as absences and held here. Each failure names the line and the rule.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A source file of a crate: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Its lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Its lines of code: no comments, no docs.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, without_comment(line)))
    }

    /// True for tests and models, whatever they are called.
    fn is_test(&self) -> bool {
        ["/tests/", "/models", "tests.rs", "loom.rs", "/schedules"]
            .iter()
            .any(|part| self.path.contains(part))
    }
}

fn without_comment(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

/// A line without what stands between quotation marks, roughly.
fn without_text(line: &str) -> String {
    line.split('"').step_by(2).collect()
}

/// Every Rust file below `crates/*/FOLDER`.
fn sources(folder: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        collect(&root, &entry.unwrap().path().join(folder), "rs", &mut found);
    }
    assert!(found.len() > 3, "{folder}: {} files", found.len());
    found
}

/// Every page that people read: the book, the READMEs, what stands at the top.
fn pages() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in ["docs/src", "crates", "benches", "examples"] {
        collect(&root, &root.join(folder), "md", &mut found);
    }
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.file_name().unwrap().to_str().unwrap().to_owned(), text });
        }
    }
    found
}

fn collect(root: &Path, folder: &Path, kind: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, kind, found);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

fn none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}\n{}", offences.join("\n"));
}

/// Files, and folders, that may use `unsafe`. Whoever adds one brings a reason and a second pair of eyes.
const UNSAFE: [&str; 21] = [
    "crates/unstuck-core/src/context.rs",
    "crates/unstuck-core/src/guard/beat.rs",
    "crates/unstuck-core/src/handle.rs",
    "crates/unstuck-core/src/local.rs",
    // Two system calls.
    "crates/unstuck-core/src/precedence.rs",
    "crates/unstuck-core/src/sched/models.rs",
    "crates/unstuck-core/src/sched/slot.rs",
    "crates/unstuck-core/src/task/extra.rs",
    "crates/unstuck-core/src/task/handle.rs",
    "crates/unstuck-core/src/task/header.rs",
    "crates/unstuck-core/src/task/join.rs",
    "crates/unstuck-core/src/task/mod.rs",
    "crates/unstuck-core/src/task/models", // and the rooms behind it
    "crates/unstuck-core/src/task/registry.rs",
    "crates/unstuck-core/src/task/runnable.rs",
    "crates/unstuck-core/src/task/tests/wakers.rs",
    "crates/unstuck-core/src/task/waker.rs",
    // Reads another thread's stack: registers, signals and maps.
    "crates/unstuck-stack/src/linux/",
    "crates/unstuck-stack/tests/",
    // A waker whose clone panics cannot be made by safe code.
    "crates/unstuck/tests/all/faults/wakers.rs",
    // An allocator that counts.
    "crates/unstuck/tests/memory.rs",
];

#[test]
fn unsafe_code_is_in_the_listed_files_only() {
    let says = |line: &str| {
        let code = without_text(line);
        code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
    };
    let mut offences = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        if UNSAFE.iter().any(|listed| source.path.starts_with(listed)) {
            continue;
        }
        let lines = source.code().filter(|(_, line)| says(line));
        offences.extend(lines.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    none("unsafe code outside of the list in repository.rs:", &offences);
}

#[test]
fn petals_and_facade_forbid_unsafe_code() {
    let mut offences = Vec::new();
    for krate in
        ["unstuck", "unstuck-blocking", "unstuck-cpu", "unstuck-process", "unstuck-time", "unstuck-inspect"]
    {
        let path = format!("crates/{krate}/src/lib.rs");
        let text = fs::read_to_string(root().join(&path)).unwrap();
        if !text.contains("#![forbid(unsafe_code)]") {
            offences.push(path);
        }
    }
    none("crates that do not forbid unsafe code:", &offences);
}

#[test]
fn only_the_queue_names_crossbeam_deque() {
    let name = concat!("crossbeam", "_deque");
    let mut offences = Vec::new();
    for source in sources("src") {
        if source.path.starts_with("crates/unstuck-core/src/sched/queue") {
            continue;
        }
        let lines = source.code().filter(|(_, line)| line.contains(name));
        offences.extend(lines.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    none("the deque's slot reads are deliberately racy; only sched/queue may name its crate:", &offences);
}

#[test]
fn petals_do_not_import_each_other_and_the_core_imports_none_of_them() {
    const PETALS: [&str; 6] = [
        "unstuck-blocking",
        "unstuck-cpu",
        "unstuck-process",
        "unstuck-time",
        "unstuck-net",
        "unstuck-inspect",
    ];
    let mut offences = Vec::new();
    for krate in PETALS.iter().copied().chain(["unstuck-core"]) {
        let Ok(manifest) = fs::read_to_string(root().join(format!("crates/{krate}/Cargo.toml"))) else {
            continue;
        };
        let dependencies =
            manifest.split("[dependencies]").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
        for other in PETALS.into_iter().filter(|other| *other != krate) {
            if dependencies.lines().any(|line| line.starts_with(other)) {
                offences.push(format!("{krate} depends on {other}"));
            }
        }
    }
    none("a flower: the core in the middle, petals that never import each other:", &offences);
}

#[test]
fn no_room_is_longer_than_450_lines() {
    let mut offences = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        let lines = source.text.lines().count();
        if lines > 450 {
            offences.push(format!("{}: {lines} lines", source.path));
        }
    }
    none("look for the second idea hiding inside: it deserves a name:", &offences);
}

#[test]
fn no_library_is_a_bench_of_its_own() {
    let mut offences = Vec::new();
    let root = root();
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for folder in crates.chain([root.join("benches"), root.join("examples")]) {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let lib = manifest.split("[lib]").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
        if !lib.lines().any(|line| line.trim() == "bench = false") {
            offences.push(folder.display().to_string());
        }
    }
    none("`cargo bench -- --save-baseline x` dies in libtest without [lib] bench = false:", &offences);
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimpl", "emented!(")];
    let mut offences = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        let lines = source.lines().filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        offences.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    none("an issue is a better place than a comment:", &offences);
}

/// Where a page's links lead that stay in the repository, without the part behind `#`.
fn links(page: &Source) -> impl Iterator<Item = (usize, &str)> {
    page.lines().flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or(target));
        targets
            .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(' '))
            .map(move |target| (number, target))
    })
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let root = root();
    let mut offences = Vec::new();
    let pages = pages();
    let count = pages.iter().flat_map(links).count();
    assert!(count > 50, "{count} links: are these the right pages?");
    for page in &pages {
        let folder = root.join(&page.path).parent().unwrap().to_owned();
        let broken = links(page).filter(|(_, target)| !folder.join(target).exists());
        offences.extend(broken.map(|(number, target)| format!("{}:{number}: {target}", page.path)));
    }
    none("a link must lead to a file that is here:", &offences);
}

#[test]
fn every_chapter_is_in_the_books_contents() {
    let pages = pages();
    let contents = pages.iter().find(|page| page.path == "docs/src/SUMMARY.md").unwrap();
    let mut offences = Vec::new();
    for page in pages.iter().filter(|page| page.path.starts_with("docs/src/") && page.path != contents.path) {
        let chapter = page.path.trim_start_matches("docs/src/");
        if !links(contents).any(|(_, target)| target == chapter) {
            offences.push(page.path.clone());
        }
    }
    none("a chapter that SUMMARY.md does not name is in no book:", &offences);
}

/// The wall clock may be stepped by an hour at any time; the runtime must not even look at it.
#[test]
fn nobody_looks_at_the_wall_clock() {
    let clocks = [concat!("System", "Time"), concat!("CLOCK_REAL", "TIME")];
    let mut offences = Vec::new();
    for source in sources("src") {
        let lines = source.code().filter(|(_, line)| clocks.iter().any(|clock| line.contains(clock)));
        offences.extend(lines.map(|(number, _)| format!("{}:{number}", source.path)));
    }
    none("timers follow the monotonic clock only:", &offences);
}

/// How far above an ordering its comment may stand: a method has one for the steps in it.
const NEAR: usize = 10;

/// A heuristic: a comment of any kind stands on the same line, or a few lines above without a function in between.
#[test]
fn every_memory_ordering_has_a_comment_nearby() {
    let orderings =
        ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"].map(|name| format!("Ordering::{name}"));
    let mut offences = Vec::new();
    for source in sources("src").into_iter().filter(|source| !source.is_test()) {
        let lines: Vec<&str> = source.text.lines().take_while(|line| !line.contains("mod tests {")).collect();
        for (index, line) in lines.iter().enumerate() {
            if !orderings.iter().any(|ordering| without_comment(line).contains(ordering))
                || line.contains("//")
            {
                continue;
            }
            let above = lines[..index].iter().rev().take(NEAR);
            let below = lines.get(index + 1).is_some_and(|next| next.trim_start().starts_with("//"));
            if !above.clone().any(|line| line.contains("//")) && !below {
                offences.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    none("every ordering names its partner in a comment:", &offences);
}
