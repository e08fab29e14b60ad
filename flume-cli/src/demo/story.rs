//! [`Story`]: the demo's words, with the time in front.

use std::io::{self, Write};
use std::time::Instant;

use super::proof::Proof;
use super::style::Style;
use crate::text::{count, plural};

/// Told on stdout, or on stderr when stdout is for scripts.
#[derive(Debug)]
pub(super) struct Story {
    to_stderr: bool,
    pub(super) style: Style,
    started: Instant,
}

/// Width of the longest bar of the closing table.
const BAR_WIDTH: u64 = 30;

impl Story {
    pub(super) fn new(to_stderr: bool) -> Self {
        let style = match to_stderr {
            true => Style::of(&io::stderr()),
            false => Style::of(&io::stdout()),
        };
        Self {
            to_stderr,
            style,
            started: Instant::now(),
        }
    }

    /// The clock of the story begins.
    pub(super) fn begin(&mut self) {
        self.started = Instant::now();
    }

    pub(super) fn line(&self, text: &str) {
        // A reader that went away does not want to hear the rest.
        let _ = match self.to_stderr {
            true => writeln!(io::stderr(), "{text}"),
            false => writeln!(io::stdout(), "{text}"),
        };
    }

    /// Something happened now.
    pub(super) fn event(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.line(&format!(
            "  {}  {text}",
            self.style.faint(&format!("{seconds:4.1} s"))
        ));
    }

    /// More about it.
    pub(super) fn more(&self, text: &str) {
        self.line(&format!("          {text}"));
    }

    /// Who holds how much in the end.
    pub(super) fn holdings(&self, agents: &[(&str, u64)]) {
        let most = agents
            .iter()
            .map(|(_, held)| *held)
            .max()
            .unwrap_or_default()
            .max(1);
        for (name, held) in agents {
            let bar = "#".repeat((held * BAR_WIDTH).div_ceil(most) as usize);
            self.line(&format!(
                "  {name} holds {:>7} events  {}",
                count(*held),
                self.style.faint(&bar)
            ));
        }
    }

    pub(super) fn proof(&self, proof: &Proof, seconds: f64) {
        self.line(&format!("  sent        {:>7}", count(proof.sent)));
        self.line(&format!(
            "  arrived     {:>7}  different lines",
            count(proof.distinct)
        ));
        self.line(&format!(
            "  duplicates  {:>7}  {}",
            count(proof.duplicates),
            duplicates(proof)
        ));
        self.line(&format!("  missing     {:>7}", count(proof.missing)));
        if proof.altered > 0 {
            self.line(&format!("  altered     {:>7}", count(proof.altered)));
        }
        self.line("");
        self.line(&match proof.holds() {
            true => self
                .style
                .good(&format!("Nothing was lost, in {seconds:.1} s.")),
            false => {
                let missing = plural(proof.missing, "line");
                let altered = plural(proof.altered, "event");
                self.style.bad(&format!(
                    "NOT PROVEN: {missing} missing, {altered} altered."
                ))
            }
        });
    }
}

fn duplicates(proof: &Proof) -> &'static str {
    match proof.duplicates {
        0 => "(they come from answers that are lost after a batch was stored; none was)",
        _ => "(A had stored them, but its answer was lost: the client sent them again)",
    }
}
