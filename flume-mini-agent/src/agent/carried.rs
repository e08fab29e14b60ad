//! What carries the connections of a source or sink, from its configuration.

use super::error::StartError;
use crate::carrier::Carrier;
#[cfg(feature = "tls")]
use crate::carrier::{Reading, SinkTls, SourceTls, Tls};
use crate::config::{AvroSinkConfig, Compression, SinkTlsConfig, SourceKind, TlsConfig};

/// At which Flume's source compresses its answers, whatever its clients do.
const SOURCE_LEVEL: u8 = 6;

/// What carries the connections of the source of this name.
pub(super) fn of_source(name: &str, kind: &SourceKind) -> Result<Carrier, StartError> {
    let component = || format!("source {name}");
    let mut carrier = Carrier::default();
    let tls = match kind {
        SourceKind::Avro(avro) => {
            compress(&mut carrier, component, (avro.compression, SOURCE_LEVEL))?;
            #[cfg(all(feature = "compression", feature = "tls"))]
            {
                carrier.nesting = avro.nesting;
            }
            &avro.tls
        }
        SourceKind::Http(http) => &http.tls,
        SourceKind::Thrift(thrift) => &thrift.tls,
        SourceKind::Netcat(_) => &None,
    };
    if let Some(tls) = tls {
        encrypt_source(&mut carrier, component, (tls, kind))?;
    }
    Ok(carrier)
}

/// What carries the connections of the sink of this name.
pub(super) fn of_sink(name: &str, avro: &AvroSinkConfig) -> Result<Carrier, StartError> {
    let component = || format!("sink {name}");
    let mut carrier = Carrier::default();
    let compression = (avro.compression, avro.compression_level);
    compress(&mut carrier, component, compression)?;
    #[cfg(all(feature = "compression", feature = "tls"))]
    {
        carrier.nesting = avro.nesting;
    }
    if let Some(tls) = &avro.tls {
        encrypt_sink(&mut carrier, component, (tls, &avro.hostname))?;
    }
    Ok(carrier)
}

#[cfg(feature = "compression")]
fn compress(
    carrier: &mut Carrier,
    _: impl Fn() -> String,
    (compression, level): (Compression, u8),
) -> Result<(), StartError> {
    carrier.deflate = (compression == Compression::Deflate).then_some(level);
    Ok(())
}

#[cfg(not(feature = "compression"))]
fn compress(
    _: &mut Carrier,
    component: impl Fn() -> String,
    (compression, _): (Compression, u8),
) -> Result<(), StartError> {
    if compression == Compression::None {
        return Ok(());
    }
    Err(StartError::Feature {
        component: component(),
        feature: "compression",
    })
}

#[cfg(feature = "tls")]
fn encrypt_source(
    carrier: &mut Carrier,
    component: impl Fn() -> String,
    (tls, kind): (&TlsConfig, &SourceKind),
) -> Result<(), StartError> {
    let reading = match kind {
        // Flume's Thrift source reads it at the start. Here certificates can be replaced for both.
        SourceKind::Avro(_) | SourceKind::Thrift(_) => Reading::EachConnection,
        _ => Reading::Once,
    };
    let tls = SourceTls::new(tls, reading).map_err(|problem| StartError::Tls {
        component: component(),
        reason: problem.to_string(),
    })?;
    carrier.tls = Some(Tls::Source(tls));
    Ok(())
}

#[cfg(feature = "tls")]
fn encrypt_sink(
    carrier: &mut Carrier,
    component: impl Fn() -> String,
    (tls, host): (&SinkTlsConfig, &str),
) -> Result<(), StartError> {
    let tls = SinkTls::new(tls, host).map_err(|problem| StartError::Tls {
        component: component(),
        reason: problem.to_string(),
    })?;
    carrier.tls = Some(Tls::Sink(tls));
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn encrypt_source(
    _: &mut Carrier,
    component: impl Fn() -> String,
    _: (&TlsConfig, &SourceKind),
) -> Result<(), StartError> {
    Err(no_tls(component))
}

#[cfg(not(feature = "tls"))]
fn encrypt_sink(
    _: &mut Carrier,
    component: impl Fn() -> String,
    _: (&SinkTlsConfig, &str),
) -> Result<(), StartError> {
    Err(no_tls(component))
}

#[cfg(not(feature = "tls"))]
fn no_tls(component: impl Fn() -> String) -> StartError {
    StartError::Feature {
        component: component(),
        feature: "tls",
    }
}
