//! Tests against real Apache Flume agents.
