//! What a scripted agent does, per connection and per request.

use crate::wire::Received;

/// How an agent receives a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It knows our protocol, as every released Flume does.
    Both,
    /// It speaks a protocol of another MD5 and understands ours.
    Client,
    /// It asks for our protocol's text and accepts it.
    NoneThenBoth,
    /// It does not accept the text either.
    NoneTwice,
    /// The right answer, to another question.
    WrongSerial,
    /// It reads the greeting and never says a word.
    Unanswered,
    /// It closes before reading.
    ClosedAtOnce,
    /// It reads the greeting and closes.
    ClosedUnanswered,
    /// It says this, whatever it is asked.
    Says(&'static [u8]),
    /// It answers the greeting and never reads again.
    ThenDeaf,
    /// It answers the first request with OK when it has read no more than its serial number.
    ThenHasty,
    /// It answers the greeting and closes.
    ThenClosed,
}

/// What an agent does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// OK.
    Ok,
    /// FAILED.
    Failed,
    /// FAILED if the event with this number is among them, else OK.
    FailedWith(u64),
    /// UNKNOWN.
    Unknown,
    /// An exception of this text.
    Error(&'static str),
    /// Waits for `Agent::release`, then OK.
    OkWhenReleased,
    /// Waits for `Agent::release`, then OK, and resets the connection if more was sent meanwhile.
    OkWhenReleasedThenClosed,
    /// OK, one byte a write.
    OkBytewise,
    /// OK, then closes.
    OkThenClosed,
    /// Keeps its answers to this and the next request and gives them in reverse order.
    OkSwapped,
    /// OK, twice.
    OkTwice,
    /// OK to a call that was never made.
    WrongSerial,
    /// Announces an answer of 2 GiB.
    TwoGibibytes,
    /// Stores the events and closes in the middle of the answer.
    HalfThenClosed,
    /// Stores the events and closes.
    StoredThenClosed,
    /// Closes; the events are not stored.
    Closed,
    /// Never answers, and does not store the events.
    Unanswered,
}

impl Answer {
    /// What it is to a batch of these events.
    pub(super) fn to(self, events: &[Received]) -> Self {
        let Self::FailedWith(number) = self else {
            return self;
        };
        match events.iter().any(|event| number_of(event) == number) {
            true => Self::Failed,
            false => Self::Ok,
        }
    }

    /// Whether the events are in the agent, as far as it is concerned.
    #[must_use]
    pub fn is_stored(self) -> bool {
        !matches!(
            self,
            Self::Failed | Self::Unknown | Self::Error(_) | Self::Closed | Self::Unanswered
        )
    }
}

/// One connection: its beginning, its first requests, and all later ones.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How it begins.
    pub greeting: Greeting,
    /// What its first requests meet.
    pub first: &'static [Answer],
    /// What all later ones meet.
    pub rest: Answer,
}

/// An agent without a fault.
pub const GOOD: Script = Script {
    greeting: Greeting::Both,
    first: &[],
    rest: Answer::Ok,
};

/// A connection that begins like this and then has no fault.
#[must_use]
pub const fn greets(greeting: Greeting) -> Script {
    Script { greeting, ..GOOD }
}

/// A connection on which every request meets this.
#[must_use]
pub const fn answers(rest: Answer) -> Script {
    Script { rest, ..GOOD }
}

/// A connection whose first requests meet this, and all later ones OK.
#[must_use]
pub const fn first_answers(first: &'static [Answer]) -> Script {
    Script { first, ..GOOD }
}

/// The number of an event whose body is `event NUMBER`, and maybe more words.
#[must_use]
pub fn number_of(received: &Received) -> u64 {
    let body = std::str::from_utf8(&received.body).unwrap();
    let number = body.strip_prefix("event ").unwrap().split(' ').next();
    number.unwrap().parse().unwrap()
}
