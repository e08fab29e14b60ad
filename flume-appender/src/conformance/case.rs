//! [`Case`]: what a front end is to log.

/// The target of all records, where a front end has targets.
pub const TARGET: &str = "conformance";

/// A text with everything that a line, a terminal or JSON might stumble over.
pub const EVIL: &str = "a\"b\\c\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{7f}\u{2028}\u{0}grüße";

/// A value that is never to leave the process.
pub const SECRET: &str = "correct horse battery staple";

/// Records of [`Case::Order`].
pub const MANY: u64 = 1000;

/// What a front end is to log. Unless a case says something else it is one record of the level `INFO`
/// with the target [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Case {
    /// The message `plain` without fields.
    Plain,
    /// Five records, one of each level from `ERROR` to `TRACE`, with the messages `error` to `trace`.
    Levels,
    /// `least` = [`i64::MIN`], `greatest` = [`u64::MAX`], `half` = 0.5, `yes` = true.
    Numbers,
    /// `least` = [`i128::MIN`], `greatest` = [`u128::MAX`].
    WideNumbers,
    /// `nan` and `infinite`, numbers that are none.
    NoNumbers,
    /// [`EVIL`] as the message and as the field `evil`.
    EvilText,
    /// An empty message, and `empty`, an empty text.
    EmptyText,
    /// `none`, which has no value, and `some` = 1.
    NoValue,
    /// `cause` = [`failed`](super::failed).
    ErrorWithCauses,
    /// `a` = 1, then `b` = 2, then `a` = 3; if the framework has an order of its own, so that `a` = 3
    /// is what was said last.
    Twice,
    /// The message `the text`, and texts in the fields `message`, `level`, `ts` and `target`, each with
    /// its own name as the value.
    Shadows,
    /// `user_password` = [`SECRET`].
    Redacted,
    /// `bad`, whose value is [`Panics`](super::Panics), and `good` = 1.
    PanickingValue,
    /// `bad`, whose value is [`Fails`](super::Fails), and `good` = 1.
    FailingValue,
    /// The message `outer` and a field `value` that logs a record `inner` when it is formatted.
    LoggingValue,
    /// A field that, when it is formatted, logs a record with this same field, without an end.
    EndlessValue,
    /// `long`, a text of a mebibyte: [`long_text`]. Then `after` = 1.
    LongValue,
    /// In something that has `request` = `a1` and `user` = 7: the message `within`.
    Context,
    /// The same, in something with `id` = 1, in which something has `id` = 2.
    NestedContext,
    /// A context that has no `path` yet, in it the message `before`; then `path` = `/index` is added to
    /// it, and the message `after` follows.
    LateContext,
    /// In a context with `id` = 1: a record that says it stands in another one, with `id` = 2.
    ExplicitContext,
    /// The message `the end`, from a destructor of a thread's end: [`at_thread_end`](super::at_thread_end).
    ThreadEnd,
    /// The message `unwinding`, while a panic unwinds: [`while_unwinding`](super::while_unwinding).
    Unwinding,
    /// The message `own`, on a thread of ours: [`on_own_thread`](super::on_own_thread).
    OwnThread,
    /// [`MANY`] records with `number` = 0 and so on.
    Order,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Plain,
        Self::Levels,
        Self::Numbers,
        Self::WideNumbers,
        Self::NoNumbers,
        Self::EvilText,
        Self::EmptyText,
        Self::NoValue,
        Self::ErrorWithCauses,
        Self::Twice,
        Self::Shadows,
        Self::Redacted,
        Self::PanickingValue,
        Self::FailingValue,
        Self::LoggingValue,
        Self::EndlessValue,
        Self::LongValue,
        Self::Context,
        Self::NestedContext,
        Self::LateContext,
        Self::ExplicitContext,
        Self::ThreadEnd,
        Self::Unwinding,
        Self::OwnThread,
        Self::Order,
    ];
}

/// A text of a mebibyte, whose letters have two bytes each.
#[must_use]
pub fn long_text() -> String {
    "ü".repeat(512 * 1024)
}
