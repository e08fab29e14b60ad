//! [`ControlOptions`]: whether an agent has a control interface, and where.

use std::fmt;
use std::net::TcpListener;

use super::error::StartError;
use crate::port::resolve;

/// What a control interface is made from.
#[derive(Debug, Default)]
pub(crate) struct ControlOptions {
    /// Where it listens, if there is to be one.
    pub(super) address: Option<String>,
    /// Whether others may reach it.
    pub(super) from_anywhere: bool,
    /// What `POST /reload` does, if not a restart.
    pub(super) reload: Option<ReloadHook>,
}

/// What `POST /reload` of the control interface does.
pub(super) struct ReloadHook(Box<Hook>);

/// Tells what was done, or why nothing was.
type Hook = dyn Fn() -> Result<String, String> + Send + Sync;

impl ControlOptions {
    /// The interface's listener and the address it was asked for, if there is to be one.
    pub(super) fn listen(&self) -> Result<Option<(TcpListener, String)>, StartError> {
        let Some(address) = &self.address else {
            return Ok(None);
        };
        let bind = |source| StartError::Bind {
            address: address.clone(),
            source,
        };
        let addresses = resolve(address).map_err(bind)?;
        let local = addresses.iter().all(|address| address.ip().is_loopback());
        if !local && !self.from_anywhere {
            return Err(StartError::ControlReachable {
                address: address.clone(),
            });
        }
        TcpListener::bind(addresses.as_slice())
            .map(|listener| Some((listener, address.clone())))
            .map_err(bind)
    }
}

impl ReloadHook {
    pub(super) fn new(reload: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(reload))
    }

    pub(super) fn run(&self) -> Result<String, String> {
        (self.0)()
    }
}

impl fmt::Debug for ReloadHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadHook").finish_non_exhaustive()
    }
}
