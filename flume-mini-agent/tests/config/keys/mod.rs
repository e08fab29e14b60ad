//! Every key: what it says, what it is without, and what happens to values that cannot be used.
#![expect(
    clippy::too_many_lines,
    reason = "tables are easier to read in one piece"
)]

mod channels;
mod sinks;
mod sources;

use flume_mini_agent::config::AgentConfig;

use crate::support::{agent, finds, lenient, notes, same, strict};

/// What happens to one line: what is read then, or what is said.
enum Then<T> {
    /// The value counts.
    Is(T),
    /// The value counts, with a note.
    Noted(T, &'static str),
    /// An error; when lenient, this is read all the same.
    Or(T, &'static str),
    /// An error; when lenient, the component is dropped.
    Breaks(&'static str),
}

fn check<T: PartialEq + std::fmt::Debug>(
    before: &str,
    cases: Vec<(&str, Then<T>)>,
    read: impl Fn(&AgentConfig) -> Option<T>,
) {
    for (line, then) in cases {
        let text = format!("{before}a1.{line}\n");
        let config = |text: &str| {
            strict(text)
                .unwrap_or_else(|e| panic!("{text}\n{e}"))
                .config
        };
        let key = format!("a1.{}", line.split(" =").next().unwrap());
        match then {
            Is(expected) => {
                same(&read(&config(&text)), &Some(expected), &text);
                same(&notes(&lenient(&text)), &Vec::new(), &text);
            }
            Noted(expected, note) => {
                same(&read(&config(&text)), &Some(expected), &text);
                same(
                    &notes(&lenient(&text)),
                    &vec![format!("{key}: {note}")],
                    &text,
                );
            }
            Or(expected, problem) => {
                finds(&text, &[&format!("{key}: {problem}")]);
                same(&read(&lenient(&text).config), &Some(expected), &text);
            }
            Breaks(problem) => {
                finds(&text, &[&format!("{key}: {problem}")]);
                same(&read(&lenient(&text).config), &None, &text);
            }
        }
    }
}

use Then::{Breaks, Is, Noted, Or};

/// A second source beside one that works.
fn source(settings: &str) -> String {
    agent(
        &["sources = "],
        &format!("sources = r1 r2\nsources.r2.channels = c1\n{settings}"),
    )
}

fn sink(settings: &str) -> String {
    agent(
        &["sinks = "],
        &format!("sinks = k1 k2\nsinks.k2.channel = c1\n{settings}"),
    )
}

/// A second channel beside one that works, used by a sink.
fn channel(settings: &str) -> String {
    let wiring = "channels = c1 c2\nsinks = k1 k2\nsinks.k2.type = logger\nsinks.k2.channel = c2\n";
    agent(&["channels = ", "sinks = "], &format!("{wiring}{settings}"))
}

fn with<T>(mut config: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut config);
    config
}
