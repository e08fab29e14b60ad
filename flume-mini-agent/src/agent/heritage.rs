//! [`Heritage`]: what new parts take over from those before them.

use super::assembly::{Parts, Plan};
use super::error::StartError;
use super::port::Port;
use super::source_part;

/// The ports of an agent while its parts are replaced. A port that both sets have stays claimed.
#[derive(Debug, Default)]
pub(super) struct Heritage {
    ports: Vec<Inherited>,
}

#[derive(Debug)]
struct Inherited {
    source: String,
    /// As the configuration has it.
    address: String,
    port: Port,
}

impl Heritage {
    pub(super) fn of(parts: &Parts) -> Self {
        let ports = parts.sources.iter().map(|part| Inherited {
            source: part.name.clone(),
            address: part.address.clone(),
            port: part.port.clone(),
        });
        Self {
            ports: ports.collect(),
        }
    }

    /// Claims the ports of `plan` that are not there yet, so that one that is taken is noticed
    /// while the former parts still run. One that these have themselves, at an address that is
    /// written differently, is claimed after their end.
    pub(super) fn claim(&mut self, plan: &Plan) -> Result<(), StartError> {
        for source in &plan.config.sources {
            let address = plan.address_of(source);
            let known = self.port(&source.name, &address).is_some();
            if !known && !self.has_number(&address) {
                let bound = Port::claim_free(&address);
                // Its sources listen when all else has started.
                let port = bound.map_err(source_part::bind(&address))?;
                self.ports.push(Inherited {
                    source: source.name.clone(),
                    address,
                    port,
                });
            }
        }
        Ok(())
    }

    fn has_number(&self, address: &str) -> bool {
        let number = |it: &Inherited| format!(":{}", it.port.address().port());
        self.ports.iter().any(|it| address.ends_with(&number(it)))
    }

    /// The port of this address. Of port 0 every source has its own.
    pub(super) fn port(&self, source: &str, address: &str) -> Option<Port> {
        let any_free = address.ends_with(":0");
        let mut ports = self.ports.iter();
        let found = ports.find(|it| it.address == address && (it.source == source || !any_free));
        found.map(|inherited| inherited.port.clone())
    }
}
