//! What carries the connections of a source or sink, from its configuration.

use super::error::StartError;
use crate::carrier::Carrier;
use crate::config::Compression;

/// `component` as in "source r1"; `level` is that of what it sends.
pub(super) fn carrier(
    component: &str,
    compression: Compression,
    level: u8,
) -> Result<Carrier, StartError> {
    let deflate = (compression == Compression::Deflate).then_some(level);
    #[cfg(not(feature = "compression"))]
    if deflate.is_some() {
        return Err(StartError::Feature {
            component: component.to_owned(),
            feature: "compression",
        });
    }
    let _ = component;
    Ok(Carrier {
        #[cfg(feature = "compression")]
        deflate,
    })
}
