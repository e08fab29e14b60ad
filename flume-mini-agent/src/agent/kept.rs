//! [`Kept`]: what a start takes over from the run before.

use std::sync::Arc;

use super::error::{StartError, bind};
use super::plan::Plan;
use crate::channel::Channel;
use crate::port::Port;

/// What is kept of an agent while it does not run: the events of its memory channels, and its
/// ports, which stay claimed. What it has received, its log and its faults it has for all its life.
#[derive(Debug, Default)]
pub(super) struct Kept {
    channels: Vec<Arc<Channel>>,
    ports: Vec<KeptPort>,
}

/// The port of a source.
#[derive(Debug)]
pub(super) struct KeptPort {
    pub(super) source: String,
    /// As the configuration has it.
    pub(super) address: String,
    pub(super) port: Port,
}

impl Kept {
    pub(super) fn new(channels: Vec<Arc<Channel>>, ports: Vec<KeptPort>) -> Self {
        Self { channels, ports }
    }

    /// Lets go of the file channels' directories, for those who open them next.
    pub(super) fn close(&self) {
        self.channels.iter().for_each(|channel| channel.close());
    }

    /// Gives the events of memory channels to those of the same names.
    pub(super) fn hand_over(&self, channels: &[Arc<Channel>]) {
        move_events(&self.channels, channels);
    }

    /// Takes back what was handed over.
    pub(super) fn take_back(&self, channels: &[Arc<Channel>]) {
        move_events(channels, &self.channels);
    }

    /// The memory channels whose events nobody took over, and how many these are.
    pub(super) fn left_behind(&self) -> Vec<(String, usize)> {
        let memories = self.channels.iter().filter(|channel| !channel.is_file());
        let left = memories.map(|channel| (channel.name().to_owned(), channel.len()));
        left.filter(|(_, events)| *events > 0).collect()
    }

    /// Claims the ports of `plan` that are not there yet, so that one that is taken is noticed
    /// while the agent still runs. One that it has itself, at an address that is written
    /// differently, is claimed after its end.
    pub(super) fn claim(&mut self, plan: &Plan) -> Result<(), StartError> {
        for source in &plan.config.sources {
            let address = plan.address_of(source);
            let known = self.port(&source.name, &address).is_some();
            if !known && !self.has_number(&address) {
                let bound = Port::claim_free(&address);
                // Only claimed: a source listens after everything else has started.
                let port = bound.map_err(bind(&address))?;
                self.ports.push(KeptPort {
                    source: source.name.clone(),
                    address,
                    port,
                });
            }
        }
        Ok(())
    }

    /// The port of this address. Of port 0 every source has its own.
    pub(super) fn port(&self, source: &str, address: &str) -> Option<Port> {
        let any_free = address.ends_with(":0");
        let mut ports = self.ports.iter();
        let found = ports.find(|it| it.address == address && (it.source == source || !any_free));
        found.map(|it| it.port.clone())
    }

    fn has_number(&self, address: &str) -> bool {
        let number = |it: &KeptPort| format!(":{}", it.port.address().port());
        self.ports.iter().any(|it| address.ends_with(&number(it)))
    }
}

fn move_events(from: &[Arc<Channel>], to: &[Arc<Channel>]) {
    for channel in to {
        let same = |former: &&Arc<Channel>| former.name() == channel.name();
        if let Some(former) = from.iter().find(same) {
            channel.take_over(former);
        }
    }
}
