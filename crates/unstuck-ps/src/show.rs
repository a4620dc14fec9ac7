//! Answers as texts for people.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use unstuck_inspect::{Process, Request};

/// The answer to a request.
pub(crate) fn answer(request: &Request, answer: &Value) -> String {
    match request {
        Request::Ps => ps(answer),
        Request::Cancel(id) => {
            let name = clean(answer["name"].as_str().unwrap_or("?"));
            if answer["cancelled"] == true {
                format!("task {id} '{name}' was asked to end\n")
            } else {
                format!("task {id} '{name}' has ended already\n")
            }
        }
        Request::Stalls => stalls(answer),
        _ => lines(answer["text"].as_str().unwrap_or("")),
    }
}

/// The processes that can be asked.
pub(crate) fn processes(found: &[(Process, Option<Value>)]) -> String {
    let rows = found.iter().map(|(process, answer)| {
        let Some(answer) = answer else {
            return vec![process.pid.to_string(), "?".into(), "?".into(), "it does not answer".into()];
        };
        let tasks: Vec<&Value> = tasks(answer).collect();
        let running = tasks.iter().filter(|task| task["state"] == "running").count();
        let program = clean(answer["program"].as_str().unwrap_or("?"));
        vec![process.pid.to_string(), tasks.len().to_string(), running.to_string(), program]
    });
    table(&["PID", "TASKS", "RUNNING", "PROGRAM"], 3, rows)
}

/// All futures of all runtimes.
fn tasks(answer: &Value) -> impl Iterator<Item = &Value> {
    let runtimes = answer["runtimes"].as_array().into_iter().flatten();
    runtimes.flat_map(|runtime| runtime["tasks"].as_array().into_iter().flatten())
}

fn ps(answer: &Value) -> String {
    let rows = tasks(answer).map(|task| {
        vec![
            task["id"].as_u64().map_or("-".into(), |id| id.to_string()),
            task["polls"].to_string(),
            time(&task["busy_us"]),
            clean(task["name"].as_str().unwrap_or("?")),
            place(&task["spawned_at"]),
            state(task),
        ]
    });
    table(&["ID", "POLLS", "BUSY", "NAME", "SPAWNED AT", "STATE"], 3, rows)
}

/// `RUNNING for 812ms on unstuck-1 in futex`, `waiting for task 3, sleep (1.2s left)`
fn state(task: &Value) -> String {
    let state = task["state"].as_str().unwrap_or("?");
    let mut text = match (state, task["thread"].as_str()) {
        ("running", Some(thread)) => {
            let call = task["call"].as_str().map_or(String::new(), |call| format!(" in {call}"));
            clean(&format!("RUNNING for {} on {thread}{call}", time(&task["running_us"])))
        }
        ("running", None) => "RUNNING".into(),
        ("waiting", _) => {
            let awaits: Vec<String> = task["awaits"].as_array().into_iter().flatten().map(awaited).collect();
            match awaits.len() {
                0 => "waiting".into(),
                1..=3 => format!("waiting for {}", awaits.join(", ")),
                more => format!("waiting for {} and {} more", awaits[..2].join(", "), more - 2),
            }
        }
        _ => clean(state),
    };
    if task["cancelling"] == true {
        text += ", being cancelled";
    }
    text
}

fn awaited(what: &Value) -> String {
    let kind = clean(what["what"].as_str().unwrap_or("?"));
    if let Some(id) = what["task"].as_u64() {
        format!("{kind} {id}")
    } else if let Some(id) = what["held_by"].as_u64() {
        format!("{kind} held by task {id}")
    } else if !what["left_us"].is_null() {
        format!("{kind} ({} left)", time(&what["left_us"]))
    } else if what["made_at"].is_object() {
        format!("{kind} ({})", place(&what["made_at"]))
    } else {
        kind
    }
}

fn stalls(answer: &Value) -> String {
    let stalls: Vec<&Value> = answer["stalls"].as_array().into_iter().flatten().collect();
    if stalls.is_empty() {
        return "no poll has been reported: none was stuck for long\n".into();
    }
    let mut text = String::new();
    for stall in stalls {
        // Writing to a string does not fail.
        let _ =
            write!(text, "{} ago: {}", time(&stall["ago_us"]), lines(stall["text"].as_str().unwrap_or("")));
    }
    text
}

fn place(place: &Value) -> String {
    match (place["file"].as_str(), place["line"].as_u64()) {
        (Some(file), Some(line)) => format!("{}:{line}", clean(file)),
        _ => "?".into(),
    }
}

/// Microseconds, as people say them.
fn time(micros: &Value) -> String {
    let micros = micros.as_u64().unwrap_or(0);
    let seconds = micros / 1_000_000;
    let time = match seconds {
        _ if micros == 0 => return "0".into(),
        0 if micros < 10_000 => Duration::from_micros(micros),
        0..10 => Duration::from_millis(micros / 1000),
        10..600 => Duration::from_secs(seconds),
        600..36_000 => return format!("{}min", seconds / 60),
        36_000..8_640_000 => return format!("{}h", seconds / 3600),
        _ => return format!("{} days", seconds / 86_400),
    };
    format!("{time:?}")
}

/// A text that cannot move the cursor or colour the screen: names are the program's.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The same for several lines; the last one ends, too.
fn lines(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + &clean(line) + "\n")
}

/// Columns as wide as they must be; the first `right` of them are numbers. The last one is as it is.
fn table(titles: &[&str], right: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let titles = titles.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let wide = widths[column];
            // Writing to a string does not fail.
            let _ = match column {
                column if column + 1 == columns => writeln!(text, "{cell}"),
                column if column < right => write!(text, "{cell:>wide$}  "),
                _ => write!(text, "{cell:<wide$}  "),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ps_is_a_table_of_all_runtimes() {
        let place = json!({ "file": "src/main.rs", "line": 12 });
        let task = |id: u64, state: &str| {
            json!({ "id": id, "name": "page", "spawned_at": place, "state": state, "cancelling": false,
                    "polls": 3, "busy_us": 1500, "awaits": [{ "what": "task", "task": 9 }] })
        };
        let mut stuck = task(10, "running");
        stuck["thread"] = json!("unstuck-1");
        stuck["running_us"] = json!(812_400);
        stuck["call"] = json!("read(fd 5)");
        stuck["name"] = json!("evil \u{1b}[2J");
        stuck["cancelling"] = json!(true);
        let answer = json!({ "runtimes": [{ "tasks": [task(1, "waiting")] }, { "tasks": [stuck] }] });
        let expected = "\
ID  POLLS   BUSY  NAME       SPAWNED AT      STATE
 1      3  1.5ms  page       src/main.rs:12  waiting for task 9
10      3  1.5ms  evil ?[2J  src/main.rs:12  RUNNING for 812ms on unstuck-1 in read(fd 5), being cancelled
";
        assert_eq!(ps(&answer), expected);
    }

    #[test]
    fn times_are_as_long_as_people_say_them() {
        let said = [0, 1500, 12_345, 1_234_567, 75_000_000].map(|micros| time(&json!(micros)));
        assert_eq!(said, ["0", "1.5ms", "12ms", "1.234s", "75s"]);
        let long = [3599_u64, 86_400, 31_536_000].map(|seconds| time(&json!(seconds * 1_000_000)));
        assert_eq!(long, ["59min", "24h", "365 days"]);
    }

    #[test]
    fn what_is_awaited_is_said_in_a_few_words() {
        let awaits = json!([{ "what": "sleep", "left_us": 2_000_000 }, { "what": "deferred" },
                            { "what": "job", "made_at": { "file": "a.rs", "line": 3 } }, { "what": "task", "task": 4 }]);
        let task = json!({ "state": "waiting", "awaits": awaits });
        assert_eq!(state(&task), "waiting for sleep (2s left), deferred and 2 more");
        assert_eq!(awaited(&awaits[2]), "job (a.rs:3)");
        assert_eq!(awaited(&json!({ "what": "lock", "lock": 5, "held_by": 7 })), "lock held by task 7");
        assert_eq!(awaited(&json!({ "what": "lock", "lock": 5, "held_by": null })), "lock");
    }

    #[test]
    fn an_answer_without_what_was_expected_is_no_panic() {
        for request in [Request::Ps, Request::Tree, Request::Dot, Request::Cancel(1), Request::Stalls] {
            let _ = answer(&request, &json!({}));
            let _ = answer(&request, &json!({ "runtimes": [{ "tasks": [{}] }], "stalls": [{}], "text": 3 }));
        }
    }
}
