//! Servers that are no agents, or bad ones.

use flume_tests::scripted::{Agent, Answer, GOOD, Greeting, Script, answers, greets};

pub(crate) const HTTP: Script = greets(Greeting::Says(
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
));
pub(crate) const SILENT: Script = greets(Greeting::Unanswered);
pub(crate) const SILENT_AFTER_HANDSHAKE: Script = answers(Answer::Unanswered);
pub(crate) const OF_ANOTHER_PROTOCOL: Script = greets(Greeting::NoneTwice);
/// Answers calls nobody made.
pub(crate) const WRONG_SERIAL: Script = answers(Answer::WrongSerial);
pub(crate) const HUGE_REPLY: Script = answers(Answer::TwoGibibytes);

/// One that does this on each connection.
pub(crate) fn bad_server(script: Script) -> Agent {
    Agent::scripted([script]).taking_empty_batches()
}

/// Answers one call, then nothing on any connection.
pub(crate) fn answers_one_call() -> Agent {
    let first = Script {
        first: &[Answer::Ok],
        rest: Answer::Unanswered,
        ..GOOD
    };
    Agent::scripted([first, SILENT])
}

/// Waits until someone connects.
pub(crate) fn wait_for_connection(server: &Agent) {
    server.wait_for("a connection", |state| {
        (state.connections > 0).then_some(())
    });
}
