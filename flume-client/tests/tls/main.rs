//! Java's trust stores: those that `keytool` made, damaged ones, and what is none.

// `cfg(test)` tells the linter that the helpers are test code, too.
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod sha1;
#[cfg(test)]
mod stores;
