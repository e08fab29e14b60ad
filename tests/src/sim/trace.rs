//! What happened, as a hash of everything and the last lines in full.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::time::Nanos;

/// Lines kept for the report of a violation.
const TAIL_NOTES: usize = 160;

#[derive(Clone, Copy, Debug)]
struct Note {
    at: Nanos,
    /// Each `{}` stands for the next argument.
    text: &'static str,
    args: [u64; 5],
}

/// Collects notes. Two runs of a seed must give the same hash, also in different processes.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    tail: VecDeque<Note>,
    prints: bool,
}

impl Trace {
    pub(super) fn new(prints: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            tail: VecDeque::with_capacity(TAIL_NOTES),
            prints,
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn note<const N: usize>(&mut self, at: Nanos, text: &'static str, args: [u64; N]) {
        let mut five = [0; 5];
        for (place, arg) in five.iter_mut().zip(args) {
            *place = arg;
        }
        let note = Note {
            at,
            text,
            args: five,
        };
        self.mix(at);
        let mut letters = [0; 8];
        for (place, letter) in letters.iter_mut().zip(text.bytes()) {
            *place = letter;
        }
        self.mix(u64::from_le_bytes(letters) ^ text.len() as u64);
        for arg in args {
            self.mix(arg);
        }
        if self.prints {
            println!("{}", line(&note));
        }
        if self.tail.len() == TAIL_NOTES {
            self.tail.pop_front();
        }
        self.tail.push_back(note);
    }

    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.iter().map(line).collect()
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

fn line(note: &Note) -> String {
    let mut line = format!("{:>16.6} ", note.at as f64 / 1e9);
    let mut args = note.args.iter();
    for (place, part) in note.text.split("{}").enumerate() {
        if place > 0 {
            let arg = args.next().copied().unwrap_or_default();
            write!(line, "{arg}").expect("a String takes everything");
        }
        line.push_str(part);
    }
    line
}
