//! Configurations: what property files mean, and what is said about those that mean nothing.

#[cfg(test)]
mod properties;
