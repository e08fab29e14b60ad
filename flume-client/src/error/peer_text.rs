//! [`PeerText`]: what a peer says is data.

use std::fmt;

/// Text that came from a peer, made fit for logs and terminals: at most [`PeerText::BYTES_MAX`]
/// bytes of it, control characters and others that cannot be seen escaped as in Rust.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerText(String);

impl PeerText {
    /// Most bytes that are kept, escapes included. More says nothing new: the text of a Java
    /// exception begins with its class.
    pub const BYTES_MAX: usize = 1024;

    /// The text as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerText {
    fn from(text: &str) -> Self {
        let mut shown = String::new();
        for (at, letter) in text.char_indices() {
            let before = shown.len();
            match letter {
                // They cannot hide or move anything, and are common in messages.
                '"' | '\'' => shown.push(letter),
                letter => shown.extend(letter.escape_debug()),
            }
            if shown.len() > Self::BYTES_MAX {
                shown.truncate(before);
                shown += &format!("... ({} more bytes)", text.len() - at);
                break;
            }
        }
        Self(shown)
    }
}

impl fmt::Display for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_cannot_move_a_cursor_or_begin_a_line() {
        for (said, shown) in [
            ("java.io.IOException: \"no\"", "java.io.IOException: \"no\""),
            ("a\u{1b}[31mb\r\nc\0", r"a\u{1b}[31mb\r\nc\0"),
            // The control sequence introducer of eight bits, and the override of directions.
            ("\u{9b}2J\u{202e}x\u{200b}", r"\u{9b}2J\u{202e}x\u{200b}"),
            ("\\u{1b}", r"\\u{1b}"),
            ("größer", "größer"),
        ] {
            assert_eq!(PeerText::from(said).as_str(), shown);
        }
    }

    #[test]
    fn what_a_peer_says_is_cut_at_a_kibibyte_and_says_how_much_more_there_was() {
        let text = PeerText::from("ä".repeat(30_000).as_str());
        let rest = 60_000 - PeerText::BYTES_MAX;
        assert_eq!(
            text.as_str(),
            "ä".repeat(512) + &format!("... ({rest} more bytes)")
        );
        // Escapes count as what they take.
        let text = PeerText::from("\u{1b}".repeat(60_000).as_str());
        assert!(text.as_str().len() <= PeerText::BYTES_MAX + 30, "{text}");
        assert_eq!(
            PeerText::from("x".repeat(1024).as_str()).as_str().len(),
            1024
        );
    }
}
