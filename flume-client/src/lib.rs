//! Client SDK for Apache Flume agents.
