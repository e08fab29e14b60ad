//! What is the same for all records of a call site, made once.
//!
//! | file | holds |
//! |---|---|
//! | `site` | the call sites that were seen, with all of this |
//! | `headers`, `origin` | which headers events get, and where events come from |
//! | `redact` | which values are not told |

pub(crate) mod headers;
pub(crate) mod origin;
pub(crate) mod redact;
pub(crate) mod site;
