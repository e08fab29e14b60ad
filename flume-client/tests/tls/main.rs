//! TLS over bytes, against an agent in memory; and Java's trust stores: those that `keytool` made,
//! damaged ones, and what is none.

// `cfg(test)` tells the linter that the helpers are test code, too.
#[cfg(test)]
mod certificate;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod layer;
#[cfg(test)]
mod material;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sha1;
#[cfg(test)]
mod stores;
