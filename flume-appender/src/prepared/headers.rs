//! Headers: which ones an event gets, in the words of who reads them.
//!
//! What all events of a call site have in common is made once, with its other texts.

use flume_client::HeaderBlock;

use super::origin;
use crate::capture::{SiteText, cut};
use crate::level::Level;

/// Sets of headers that readers in the field know. They can be combined.
///
/// | set | headers |
/// |---|---|
/// | always | `timestamp` (milliseconds since 1970: what an HDFS sink's `%Y-%m-%d` needs), `host`, `service`, `guid` |
/// | `native` | `level` (`INFO`), `target` |
/// | `log4j1` | what Flume's `Log4jAppender` writes (`Log4jAvroHeaders`): `flume.client.log4j.` and `logger.name`, `log.level` (a number: `20000` is INFO), `timestamp`, `address` (of this host), `message.encoding` (`UTF8`; not with Avro bodies) |
/// | `log4j2` | what Log4j 2's Flume appender writes (`FlumeEvent`): `timeStamp`, `guId` (a time-based UUID); fields by [`Builder::promote`](crate::Builder::promote) |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderProfile {
    native: bool,
    pub(crate) log4j1: bool,
    pub(crate) log4j2: bool,
}

impl HeaderProfile {
    /// Only those that are always there.
    pub const BARE: Self = Self {
        native: false,
        log4j1: false,
        log4j2: false,
    };
    /// Level and target. The default.
    pub const NATIVE: Self = Self {
        native: true,
        ..Self::BARE
    };
    /// As Flume's own appender for Log4j 1.
    pub const LOG4J1: Self = Self {
        log4j1: true,
        ..Self::BARE
    };
    /// As the Flume appender of Log4j 2.
    pub const LOG4J2: Self = Self {
        log4j2: true,
        ..Self::BARE
    };

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            native: self.native || other.native,
            log4j1: self.log4j1 || other.log4j1,
            log4j2: self.log4j2 || other.log4j2,
        }
    }
}

impl Default for HeaderProfile {
    fn default() -> Self {
        Self::NATIVE
    }
}

/// Longest key of a header.
pub(crate) const KEY_BYTES_MAX: usize = 128;
/// Longest value of a header. Log4j 2's store refuses 64 KiB.
pub(crate) const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Most headers of an event.
pub(crate) const HEADERS_MAX: usize = 64;
/// Most bytes of an event's headers together.
pub(crate) const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Of them, most that are the same for all events: static ones, and those of the layout.
const FIXED_BYTES_MAX: usize = 10 * 1024;
const FIXED_MAX: usize = 40;
/// Most bytes of a target in a header.
const TARGET_BYTES_MAX: usize = 1024;
pub(crate) const LOG4J1: &str = "flume.client.log4j.";

/// Names that Flume's parts, its Java appenders or this one give a meaning to.
const RESERVED: [&str; 20] = [
    "timestamp",
    "host",
    "service",
    "level",
    "target",
    "guid",
    "traceparent",
    "timeStamp",
    "guId",
    "key",
    "file",
    "basename",
    "byteoffset",
    "port",
    "Facility",
    "Severity",
    "Priority",
    "Version",
    "REMOTE_ADDRESS",
    "remoteAddress",
];

fn is_reserved(key: &str) -> bool {
    key.starts_with("flume.") || RESERVED.contains(&key)
}

/// Log4j 1's numbers of levels.
fn log4j1_level(level: Level) -> &'static str {
    match level {
        Level::Trace => "5000",
        Level::Debug => "10000",
        Level::Info => "20000",
        Level::Warn => "30000",
        Level::Error => "40000",
    }
}

/// What the builder was told about headers.
#[derive(Clone, Debug)]
pub(crate) struct HeaderSettings {
    pub(crate) profile: HeaderProfile,
    pub(crate) statics: Vec<(String, String)>,
    pub(crate) host: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) promote: Vec<String>,
    /// Before the names of a record's own fields, and of those of spans.
    pub(crate) prefixes: (String, String),
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            profile: HeaderProfile::NATIVE,
            statics: Vec::new(),
            host: None,
            service: None,
            promote: Vec::new(),
            prefixes: (FIELD_PREFIX.into(), SPAN_PREFIX.into()),
        }
    }
}

const FIELD_PREFIX: &str = "f.";
const SPAN_PREFIX: &str = "s.";

/// A header that cannot be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadHeader {
    pub(crate) key: String,
    pub(crate) why: &'static str,
}

impl HeaderSettings {
    /// Which headers events get. `of_layout`: those that readers of their bodies need; whether these
    /// are text.
    pub(crate) fn plan(
        &self,
        of_layout: &[(String, String)],
        is_text: bool,
    ) -> Result<HeaderPlan, BadHeader> {
        let fixed = self.fixed(of_layout)?;
        let mut promoted: Vec<Promoted> = Vec::new();
        for name in &self.promote {
            if name.is_empty() {
                let why = "is promoted from a field without a name: give the field's";
                return Err(bad("", why));
            }
            if !promoted.iter().any(|known| known.name == *name) {
                promoted.push(Promoted {
                    own: self.promoted_key(&self.prefixes.0, FIELD_PREFIX, name),
                    of_span: self.promoted_key(&self.prefixes.1, SPAN_PREFIX, name),
                    name: name.clone(),
                });
            }
        }
        Ok(HeaderPlan {
            profile: self.profile,
            fixed,
            address: if self.profile.log4j1 {
                origin::address()
            } else {
                String::new()
            },
            is_text,
            promoted,
        })
    }

    /// Those that are the same for all events.
    fn fixed(&self, of_layout: &[(String, String)]) -> Result<HeaderBlock, BadHeader> {
        for (key, value) in &self.statics {
            if is_reserved(key) {
                let why = "is one that Flume or the appender sets: choose another name";
                return Err(bad(key, why));
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(bad(key, "has a value of more than 4 KiB: shorten it"));
            }
        }
        let host = self.host.clone().unwrap_or_else(origin::host);
        let service = self.service.clone().unwrap_or_else(origin::program);
        let ours = [("host".to_owned(), host), ("service".to_owned(), service)];
        let mut fixed = HeaderBlock::new();
        for (key, value) in ours.iter().chain(of_layout).chain(&self.statics) {
            if key.len() > KEY_BYTES_MAX {
                let why = "has a name of more than 128 bytes: shorten it";
                return Err(bad(key, why));
            }
            if fixed.push(key, value).is_err() {
                let why = "is empty, too long or holds a NUL character";
                return Err(bad(key, why));
            }
            if fixed.len() > FIXED_MAX {
                let why = "is one too many: 40 can be the same for all events";
                return Err(bad(key, why));
            }
            if fixed.bytes() > FIXED_BYTES_MAX {
                let why = "makes all fixed headers together longer than 10 KiB: shorten them";
                return Err(bad(key, why));
            }
        }
        Ok(fixed)
    }

    fn promoted_key(&self, prefix: &str, default: &str, name: &str) -> PromotedKey {
        let wanted = [prefix, name].concat();
        let is_static = self.statics.iter().any(|(known, _)| *known == wanted);
        let is_renamed = is_static || is_reserved(&wanted);
        let key = if is_renamed {
            [default, name].concat()
        } else {
            wanted
        };
        PromotedKey {
            key: cut(&key, KEY_BYTES_MAX).to_owned(),
            is_renamed,
        }
    }
}

fn bad(key: &str, why: &'static str) -> BadHeader {
    let key = key.to_owned();
    BadHeader { key, why }
}

/// Which headers events get.
#[derive(Clone, Debug)]
pub(crate) struct HeaderPlan {
    pub(crate) profile: HeaderProfile,
    /// The same for all events.
    fixed: HeaderBlock,
    address: String,
    is_text: bool,
    pub(crate) promoted: Vec<Promoted>,
}

/// A field that becomes a header.
#[derive(Clone, Debug)]
pub(crate) struct Promoted {
    name: String,
    pub(crate) own: PromotedKey,
    pub(crate) of_span: PromotedKey,
}

#[derive(Clone, Debug)]
pub(crate) struct PromotedKey {
    pub(crate) key: String,
    /// Not the one that was wanted.
    pub(crate) is_renamed: bool,
}

impl HeaderPlan {
    /// What all events of a call site have in common.
    pub(crate) fn of_site(&self, text: &SiteText) -> HeaderBlock {
        let mut block = self.fixed.clone();
        let target = cut(&text.target, TARGET_BYTES_MAX);
        if self.profile.native {
            push(&mut block, "level", text.level.as_str());
            push(&mut block, "target", target);
        }
        if self.profile.log4j1 {
            let mut put = |name: &str, value: &str| {
                push(&mut block, &[LOG4J1, name].concat(), value);
            };
            put("logger.name", target);
            put("log.level", log4j1_level(text.level));
            put("address", &self.address);
            if self.is_text {
                put("message.encoding", "UTF8");
            }
        }
        block
    }

    /// The number of a field among those that become headers.
    pub(crate) fn promoted(&self, name: &str) -> Option<usize> {
        self.promoted.iter().position(|known| known.name == name)
    }
}

/// Adds a header. A NUL character, which none can hold, is replaced.
pub(crate) fn push(block: &mut HeaderBlock, key: &str, value: &str) {
    if block.push(key, value).is_err() {
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        let _ = block.push(&text(key), &text(value));
    }
}
