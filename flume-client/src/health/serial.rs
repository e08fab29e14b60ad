//! [`Health`] for machines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_core::ser::{Serialize, SerializeMap, Serializer};

use super::{Health, Problem, Status};

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("status", &self.status())?;
        map.serialize_entry("problems", &self.problems)?;
        map.end()
    }
}

/// `kind`, `status`, `message`, and the numbers; times in seconds.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        map.serialize_entry("status", &self.status())?;
        map.serialize_entry("message", &self.to_string())?;
        match self {
            #[cfg(feature = "dangerous-trust-any-certificate")]
            Self::Unchecked => {}
            #[cfg(feature = "tls")]
            Self::Certificates { .. } => {}
            Self::NoAgent { pending, .. } => map.serialize_entry("pending", pending)?,
            Self::Stalled {
                pending, waited, ..
            } => {
                map.serialize_entry("pending", pending)?;
                put_time(&mut map, "waited_seconds", *waited)?;
            }
            Self::Stuck { waited, .. } => put_time(&mut map, "waited_seconds", *waited)?,
            Self::Full {
                full,
                spool_full,
                ago,
                ..
            } => {
                map.serialize_entry("full", full)?;
                map.serialize_entry("spool_full", spool_full)?;
                put_time(&mut map, "ago_seconds", *ago)?;
            }
            Self::Losing { lost, ago, .. } => {
                map.serialize_entry("lost", &BTreeMap::from(lost.by_reason()))?;
                put_time(&mut map, "ago_seconds", *ago)?;
            }
            Self::Spool {
                unstored,
                delivered_unstored,
                ..
            } => {
                map.serialize_entry("unstored", unstored)?;
                map.serialize_entry("delivered_unstored", delivered_unstored)?;
            }
            Self::Failed { .. } | Self::Closed | Self::Forked { .. } => {}
            Self::Unreadable { unreadable } => {
                map.serialize_entry("file", &unreadable.file.display().to_string())?;
                map.serialize_entry("events_max", &unreadable.events_max)?;
            }
            Self::Agent {
                agent, failing_for, ..
            } => {
                map.serialize_entry("agent", &agent.to_string())?;
                put_time(&mut map, "failing_seconds", *failing_for)?;
            }
        }
        map.end()
    }
}

fn put_time<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    time: Duration,
) -> Result<(), M::Error> {
    map.serialize_entry(key, &time.as_secs_f64())
}
