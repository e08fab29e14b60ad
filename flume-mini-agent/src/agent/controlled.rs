//! What the control interface sees of an [`Engine`], and does with it.

use std::pin::Pin;
use std::sync::Arc;

use super::engine::Engine;
use crate::channel::StoredEvent;
use crate::control::Controlled;
use crate::fault::guard::FaultBoard;

impl Controlled for Engine {
    fn metrics(&self) -> String {
        self.parts().metrics.json()
    }

    fn received(&self, from: usize, limit: usize) -> (Vec<StoredEvent>, usize) {
        self.shared.observed.read(|state| {
            let events = state.collected.iter().skip(from).take(limit);
            (events.cloned().collect(), state.collected.len())
        })
    }

    fn forget(&self) {
        self.shared.observed.forget();
    }

    fn keeps_nothing(&self) -> Option<String> {
        self.parts().keeps_nothing()
    }

    fn wait(&self, events: usize) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(
            self.shared
                .observed
                .wait_async(Self::received(events, |state| {
                    let received = state.stats.events_drained - state.forgotten;
                    usize::try_from(received).unwrap_or(usize::MAX)
                })),
        )
    }

    fn faults(&self) -> &Arc<FaultBoard> {
        &self.shared.recorder.faults
    }

    fn reload(&self) -> Result<String, String> {
        match &self.shared.options.control.reload {
            Some(reload) => reload.run(),
            None => {
                let restarted = self.restart().map(|()| String::new());
                restarted.map_err(|error| error.to_string())
            }
        }
    }
}
