//! [`TrustStore`]: the certificates in a file that a Java service trusts, without Java.
//!
//! Flume's settings name a `truststore` and a `truststore-type`; Java finds the type by the file's
//! first bytes whatever the setting says, and so does this module:
//!
//! | the file begins with | is | and then |
//! |---|---|---|
//! | `FE ED FE ED` | JKS | is read here |
//! | `CE CE CE CE` | JCEKS, the same layout for certificates | is read here |
//! | a DER sequence | one certificate | is the caller's to read |
//! | another one | PKCS12 | is an error with the lines that make PEM of it |
//! | anything, with `-----BEGIN ` somewhere | PEM | is the caller's to read |
//!
//! JKS and JCEKS, all numbers big-endian, a text with its length of two bytes in modified UTF-8
//! (`sun.security.provider.JavaKeyStore`, `com.sun.crypto.provider.JceKeyStore`):
//!
//! | field | bytes |
//! |---|---|
//! | magic | 4 |
//! | version: 1 or 2 | 4 |
//! | number of entries | 4 |
//! | of each entry: kind (1 private key, 2 certificate, 3 secret key in JCEKS) | 4 |
//! | its alias | a text |
//! | its creation, milliseconds since 1970 | 8 |
//! | of a certificate, from version 2 on: its type, `X.509` | a text |
//! | its length | 4 |
//! | the certificate in DER | that many |
//! | SHA-1 over the password in UTF-16, `Mighty Aphrodite`, and all before | 20 |
//!
//! Not here: keys, which need the password and a cipher of Java's own, and PKCS12. Errors give the
//! lines that convert them.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest file that is read. Java's own store of public authorities has 170 KiB.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// Most entries of a store. Java's own has about 150.
pub const ENTRIES_MAX: u32 = 100_000;

/// Longest certificate of a store.
pub const CERTIFICATE_BYTES_MAX: u32 = 64 << 10;

/// Longest part of a name in a file that an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 100;

const DIGEST_BYTES: usize = 20;
const DIGEST_SALT: &[u8] = b"Mighty Aphrodite";

/// What a file of trusted certificates holds.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustStore<'a> {
    /// It is PEM, which the caller reads.
    Pem,
    /// It is one certificate in DER, as far as its first bytes tell.
    Der,
    /// The certificates of a JKS or JCEKS store, in its order.
    Java(Vec<TrustedCertificate<'a>>),
}

/// A certificate in a Java trust store. Nobody has looked at what it says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustedCertificate<'a> {
    /// The name it has in the store. What is no text is replaced by U+FFFD.
    pub alias: String,
    /// When it was put there, in milliseconds since 1970.
    pub created_ms: i64,
    /// The certificate.
    pub der: &'a [u8],
}

impl<'a> TrustStore<'a> {
    /// Reads a file of at most [`FILE_BYTES_MAX`] bytes. Its path is for errors only.
    ///
    /// With a password the SHA-1 at the end of a store is checked, without one it is not, as in
    /// Java. `sha1` gives the SHA-1 of its pieces one after the other.
    ///
    /// # Errors
    ///
    /// It is nothing that can be read here, holds a key, is damaged or over a limit, or the password
    /// is another one. The message has the lines that make PEM of it.
    pub fn read(
        path: &Path,
        bytes: &'a [u8],
        password: Option<&str>,
        sha1: impl Fn(&[&[u8]]) -> [u8; DIGEST_BYTES],
    ) -> Result<Self, TrustStoreError> {
        let format = Format::of(bytes);
        let certificates = match format {
            _ if bytes.len() > FILE_BYTES_MAX => Err(Problem::LongFile { bytes: bytes.len() }),
            Format::Pem => return Ok(Self::Pem),
            Format::Certificate => return Ok(Self::Der),
            Format::Jks | Format::Jceks => certificates(bytes, password, sha1),
            Format::Pkcs12 => Err(Problem::Pkcs12),
            Format::Unknown => Err(Problem::Unknown {
                beginning: bytes.iter().take(8).copied().collect(),
            }),
        };
        certificates.map(Self::Java).map_err(|problem| {
            let path = path.to_owned();
            TrustStoreError {
                path,
                format,
                problem,
            }
        })
    }
}

impl fmt::Debug for TrustedCertificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedCertificate")
            .field("alias", &self.alias)
            .field("created_ms", &self.created_ms)
            .field("der_bytes", &self.der.len())
            .finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Pem,
    Jks,
    Jceks,
    Pkcs12,
    /// One certificate in DER.
    Certificate,
    Unknown,
}

impl Format {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0xfe, 0xed, 0xfe, 0xed, ..] => Self::Jks,
            [0xce, 0xce, 0xce, 0xce, ..] => Self::Jceks,
            // No text has the second byte of these, so a PEM file may begin with the digit 0, too.
            [0x30, length @ 0x80..=0x84, rest @ ..] => {
                match rest.get(usize::from(length & 0x7f)..) {
                    Some([0x02, 0x01, 0x03, ..]) => Self::Pkcs12,
                    Some([0x30, ..]) => Self::Certificate,
                    _ => Self::Unknown,
                }
            }
            // Tools write what they know of a certificate before it.
            _ if bytes.windows(11).any(|it| it == b"-----BEGIN ") => Self::Pem,
            _ => Self::Unknown,
        }
    }
}

fn certificates<'a>(
    bytes: &'a [u8],
    password: Option<&str>,
    sha1: impl Fn(&[&[u8]]) -> [u8; DIGEST_BYTES],
) -> Result<Vec<TrustedCertificate<'a>>, Problem> {
    let what = "its SHA-1";
    let (store, digest) = bytes
        .split_last_chunk()
        .ok_or(Problem::Truncated { what })?;
    let mut reader = Reader { rest: store };
    reader.number("its first bytes")?;
    let version = reader.number("its version")?;
    if !matches!(version, 1 | 2) {
        return Err(Problem::OtherVersion { version });
    }
    let entries = reader.number("the number of its entries")?;
    check_limit("the number of its entries", entries, ENTRIES_MAX)?;
    // Room is made for what is there, not for what the number says.
    let mut certificates = Vec::new();
    for _ in 0..entries {
        certificates.push(reader.entry(version)?);
    }
    if !reader.rest.is_empty() {
        let bytes = reader.rest.len();
        return Err(Problem::LeftOver { bytes });
    }
    if let Some(password) = password {
        let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        if sha1(&[&password, DIGEST_SALT, store]) != *digest {
            return Err(Problem::OtherDigest);
        }
    }
    Ok(certificates)
}

fn check_limit(what: &'static str, announced: u32, limit: u32) -> Result<(), Problem> {
    if announced > limit {
        return Err(Problem::OverLimit {
            what,
            announced,
            limit,
        });
    }
    Ok(())
}

/// Bytes that are not read yet. Every method names what it reads, for the error.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn entry(&mut self, version: u32) -> Result<TrustedCertificate<'a>, Problem> {
        let kind = self.number("the kind of an entry")?;
        if !matches!(kind, 1..=3) {
            return Err(Problem::OtherEntry { kind });
        }
        let alias = self.text("an alias")?;
        let created_ms = i64::from_be_bytes(self.array("the time of an entry")?);
        match kind {
            1 => return Err(Problem::PrivateKey { alias }),
            3 => return Err(Problem::SecretKey { alias }),
            _ => {}
        }
        if version > 1 {
            let kind = self.text("the type of a certificate")?;
            // Java's other name for it, in any case, is read by Java, too.
            if !["X.509", "X509"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(&kind))
            {
                return Err(Problem::OtherCertificate { alias, kind });
            }
        }
        let what = "a certificate";
        let length = self.number(what)?;
        check_limit("the length of a certificate", length, CERTIFICATE_BYTES_MAX)?;
        let length = usize::try_from(length).map_err(|_| Problem::Truncated { what })?;
        Ok(TrustedCertificate {
            alias,
            created_ms,
            der: self.take(length, what)?,
        })
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Problem::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Problem> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Problem::Truncated { what })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self, what: &'static str) -> Result<u32, Problem> {
        self.array(what).map(u32::from_be_bytes)
    }

    fn text(&mut self, what: &'static str) -> Result<String, Problem> {
        let length = u16::from_be_bytes(self.array(what)?);
        self.take(length.into(), what).map(modified_utf8)
    }
}

/// A text as Java's `DataOutputStream.writeUTF` puts it: each unit of UTF-16 by itself, in one to
/// three bytes.
fn modified_utf8(mut bytes: &[u8]) -> String {
    let bits = |byte: u8, mask: u8| u16::from(byte & mask);
    let mut units = Vec::with_capacity(bytes.len());
    while let [first, after @ ..] = bytes {
        let (unit, rest) = match (first, after) {
            (0..=0x7f, rest) => (u16::from(*first), rest),
            (0xc0..=0xdf, [second @ 0x80..=0xbf, rest @ ..]) => {
                (bits(*first, 0x1f) << 6 | bits(*second, 0x3f), rest)
            }
            (0xe0..=0xef, [second @ 0x80..=0xbf, third @ 0x80..=0xbf, rest @ ..]) => {
                let high = bits(*first, 0x0f) << 12 | bits(*second, 0x3f) << 6;
                (high | bits(*third, 0x3f), rest)
            }
            (_, rest) => (0xfffd, rest),
        };
        units.push(unit);
        bytes = rest;
    }
    String::from_utf16_lossy(&units)
}

/// Why a file's certificates could not be read, and what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustStoreError {
    path: PathBuf,
    format: Format,
    problem: Problem,
}

impl TrustStoreError {
    /// Whether the password is another one than the store's, or the store is damaged: its SHA-1
    /// does not tell which.
    #[must_use]
    pub fn is_password(&self) -> bool {
        self.problem == Problem::OtherDigest
    }
}

impl std::error::Error for TrustStoreError {}

crate::debug::debug_is_the_message!(TrustStoreError);

impl fmt::Display for TrustStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem, .. } = self;
        write!(f, "cannot take certificates from {path:?}: {problem}. ")?;
        let file = shell_word(&path.to_string_lossy());
        let (store, source) = match self.format {
            Format::Jceks => ("-storetype JCEKS ", "-srcstoretype JCEKS "),
            _ => ("", ""),
        };
        let list = format!("`keytool -list -rfc {store}-keystore {file} > ca.pem`");
        match problem {
            Problem::PrivateKey { alias } => {
                let alias = alias_option(alias);
                write!(
                    f,
                    "Make PEM of it: for its certificates {list}, for the key `keytool \
                     -importkeystore {source}-srckeystore {file} {alias}-destkeystore key.p12 \
                     -deststoretype PKCS12` and then `openssl pkcs12 -in key.p12 -nodes -out key.pem`"
                )
            }
            Problem::Pkcs12 => write!(
                f,
                "Make PEM of it: for its certificates {list}, for a key `openssl pkcs12 -in {file} \
                 -nodes -out key.pem`"
            ),
            Problem::OtherDigest => f.write_str(
                "Give the password it was made with, or none, and it is read without this check",
            ),
            Problem::LongFile { .. } => {
                f.write_str("Give one of the authorities alone that sign the agents' certificates")
            }
            Problem::Unknown { .. } => {
                f.write_str("Give the certificates as PEM or in a JKS store")
            }
            _ => write!(f, "If Java can read it, make PEM of it: {list}"),
        }
    }
}

/// Names one entry, so that no other's certificates come with its key.
fn alias_option(alias: &str) -> String {
    let is_shown = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    if alias.chars().count() <= SHOWN_CHARS_MAX && alias.chars().all(is_shown) {
        format!("-srcalias {} ", shell_word(alias))
    } else {
        String::new()
    }
}

/// A word of a command, in quotes if it needs them.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it has {bytes} bytes, more than the {FILE_BYTES_MAX} allowed")]
    LongFile { bytes: usize },
    #[error("it is neither PEM nor a Java trust store, its first bytes are {beginning:02x?}")]
    Unknown { beginning: Vec<u8> },
    #[error("it is a PKCS12 store, which is not read here")]
    Pkcs12,
    #[error("it is of version {version}; 1 and 2 are known")]
    OtherVersion { version: u32 },
    #[error("it ends inside {what}")]
    Truncated { what: &'static str },
    #[error("{what} is {announced}, more than the {limit} allowed")]
    OverLimit {
        what: &'static str,
        announced: u32,
        limit: u32,
    },
    #[error("an entry is of the kind {kind}, which is not known")]
    OtherEntry { kind: u32 },
    #[error("it is a key store: {} is a private key", shown(alias))]
    PrivateKey { alias: String },
    #[error("it is a key store: {} is a secret key", shown(alias))]
    SecretKey { alias: String },
    #[error(
        "{} is a certificate of the type {}, not X.509",
        shown(alias),
        shown(kind)
    )]
    OtherCertificate { alias: String, kind: String },
    #[error("{bytes} bytes are left over after its entries")]
    LeftOver { bytes: usize },
    #[error("the password is not the store's, or the store is damaged")]
    OtherDigest,
}

/// The beginning of a name from a file, with what cannot be shown escaped.
fn shown(name: &str) -> String {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{shown:?}")
}
