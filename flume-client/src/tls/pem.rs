//! [`sections`]: what is in a PEM file, with the lines where it stands.
//!
//! The TLS library's own reader decodes each section. It names no lines and passes over what it does
//! not know, and a person who mixed up two files needs both.

use rustls::pki_types::pem::{PemObject, SectionKind};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Longest name of a section that is shown, in characters.
const LABEL_CHARS_MAX: usize = 60;

/// One section.
pub(super) struct Section {
    /// The line of its beginning, from 1 on.
    pub(super) line: usize,
    /// What it calls itself, such as `CERTIFICATE`.
    pub(super) label: String,
    /// It needs a password.
    pub(super) is_encrypted: bool,
    /// What it is and its bytes, if it is not encrypted and its kind is known.
    pub(super) content: Option<(SectionKind, Vec<u8>)>,
}

/// A file is no PEM from a line on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemProblem {
    #[error("line {line} begins a section and is not as `-----BEGIN CERTIFICATE-----`")]
    Beginning { line: usize },
    #[error("the section {label} that begins in line {line} has no end: the file is cut")]
    NoEnd { line: usize, label: String },
    #[error("the section {label} that begins in line {line} is damaged: it is no base64")]
    Damaged { line: usize, label: String },
}

/// The sections of a file, in its order. What stands between them is passed over, as everywhere.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, PemProblem> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim).zip(1..);
    let mut sections = Vec::new();
    while let Some((beginning, line)) = lines.next() {
        // A byte order mark may stand before the first one.
        let beginning = beginning.trim_start_matches('\u{feff}');
        let Some(label) = beginning.strip_prefix(BEGIN) else {
            continue;
        };
        let label = label
            .strip_suffix(DASHES)
            .ok_or(PemProblem::Beginning { line })?;
        let shown: String = label.chars().take(LABEL_CHARS_MAX).collect();
        let shown: String = shown.escape_debug().collect();
        let end = format!("{END}{label}{DASHES}");
        // Without the spaces that editors and YAML put around lines.
        let mut section = format!("{BEGIN}{label}{DASHES}\n");
        let mut is_encrypted = label.starts_with("ENCRYPTED ");
        loop {
            let Some((text, _)) = lines.next() else {
                return Err(PemProblem::NoEnd { line, label: shown });
            };
            // The old form of encrypted keys says it in a line of its own.
            is_encrypted |= text.starts_with("Proc-Type:") && text.contains("ENCRYPTED");
            section.push_str(text);
            section.push('\n');
            if text == end {
                break;
            }
        }
        let is_known = SectionKind::try_from(label.as_bytes()).is_ok();
        let content = match is_known && !is_encrypted {
            false => None,
            true => match PemObject::from_pem_slice(section.as_bytes()) {
                Ok(content) => Some(content),
                Err(_) => return Err(PemProblem::Damaged { line, label: shown }),
            },
        };
        sections.push(Section {
            line,
            label: shown,
            is_encrypted,
            content,
        });
    }
    Ok(sections)
}
