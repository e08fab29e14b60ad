//! [`Scheme`]: what stands before `://`.

use std::fmt;

/// A source's protocol with what is wrapped around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `avro`
    Avro,
    /// `avro+tls`
    AvroTls,
    /// `avro+deflate`
    AvroDeflate,
    /// `avro+tls+deflate`
    AvroTlsDeflate,
    /// `thrift`
    Thrift,
    /// `thrift+tls`
    ThriftTls,
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Avro,
        Self::AvroTls,
        Self::AvroDeflate,
        Self::AvroTlsDeflate,
        Self::Thrift,
        Self::ThriftTls,
        Self::Http,
        Self::Https,
    ];

    /// The one that has these parts; none of Thrift and HTTP is compressed.
    pub(super) fn of(door: Door, is_tls: bool, is_deflated: bool) -> Self {
        match (door, is_tls, is_deflated) {
            (Door::Avro, false, false) => Self::Avro,
            (Door::Avro, true, false) => Self::AvroTls,
            (Door::Avro, false, true) => Self::AvroDeflate,
            (Door::Avro, true, true) => Self::AvroTlsDeflate,
            (Door::Thrift, false, _) => Self::Thrift,
            (Door::Thrift, true, _) => Self::ThriftTls,
            (Door::Http, false, _) => Self::Http,
            (Door::Http, true, _) => Self::Https,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::AvroTls => "avro+tls",
            Self::AvroDeflate => "avro+deflate",
            Self::AvroTlsDeflate => "avro+tls+deflate",
            Self::Thrift => "thrift",
            Self::ThriftTls => "thrift+tls",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The protocol.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Self::Avro | Self::AvroTls | Self::AvroDeflate | Self::AvroTlsDeflate => Door::Avro,
            Self::Thrift | Self::ThriftTls => Door::Thrift,
            Self::Http | Self::Https => Door::Http,
        }
    }

    /// Whether it is encrypted.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self.needs().contains(&Feature::Tls)
    }

    /// Whether it is compressed.
    #[must_use]
    pub fn is_deflated(self) -> bool {
        self.needs().contains(&Feature::Compression)
    }

    /// What a client must be built with to use it.
    #[must_use]
    pub fn needs(self) -> &'static [Feature] {
        match self {
            Self::Avro | Self::Thrift => &[],
            Self::AvroTls | Self::ThriftTls => &[Feature::Tls],
            Self::AvroDeflate => &[Feature::Compression],
            Self::AvroTlsDeflate => &[Feature::Tls, Feature::Compression],
            Self::Http => &[Feature::Http],
            Self::Https => &[Feature::Http, Feature::Tls],
        }
    }

    /// How an address with it is written, for errors.
    pub(super) fn form(self) -> String {
        let path = match self.door() {
            Door::Avro | Door::Thrift => "",
            Door::Http => "/PATH",
        };
        format!("{self}://HOST:PORT{path}")
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The protocol of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Avro RPC.
    Avro,
    /// Thrift RPC.
    Thrift,
    /// JSON over HTTP.
    Http,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avro => "Avro",
            Self::Thrift => "Thrift",
            Self::Http => "HTTP",
        })
    }
}

/// A feature of this crate that an address can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `tls`
    Tls,
    /// `compression`
    Compression,
    /// `http`
    Http,
}

impl Feature {
    /// As it is written in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Compression => "compression",
            Self::Http => "http",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_made_of_its_parts() {
        for scheme in Scheme::ALL {
            let (is_tls, is_deflated) = (scheme.is_tls(), scheme.is_deflated());
            assert_eq!(Scheme::of(scheme.door(), is_tls, is_deflated), scheme);
            let is_named = |layer| scheme.name().split('+').any(|part| part == layer);
            assert_eq!(is_tls, is_named("tls") || scheme == Scheme::Https);
            assert_eq!(is_deflated, is_named("deflate"));
        }
    }
}
