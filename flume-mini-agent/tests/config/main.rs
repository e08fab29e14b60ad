//! Configurations: what property files mean, and what is said about those that mean nothing.

#[cfg(test)]
mod builder;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lenient;
#[cfg(test)]
mod order;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod support;
mod text;
#[cfg(test)]
mod variables;
