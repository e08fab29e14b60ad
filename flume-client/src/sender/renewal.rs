//! [`Renewal`]: when the files of TLS are looked at while connections with it are open, and whether
//! those are to be made anew. Told the time; the files are read by a thread of their own.

use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::agent_url::AgentUrl;
use crate::delivery::{AgentId, AgentSet};
use crate::queue::Ticket;
use crate::tls::TlsSettingsError;
use crate::transport::{Certificates, Found};

/// Nobody is woken for it while no connection with TLS is open.
pub(super) struct Renewal {
    certificates: Certificates,
    every: Duration,
    /// Those with TLS.
    pub(super) agents: AgentSet,
    /// When to look next, while a connection is open.
    next_look: Option<Instant>,
    /// A look is under way.
    look: Option<Ticket<()>>,
    /// What was made of before.
    found: Found,
}

impl Renewal {
    pub(super) fn new(certificates: Certificates, agents: &[AgentUrl]) -> Self {
        let agents = agents.iter().enumerate();
        let with_tls = agents.filter(|(_, agent)| agent.scheme().is_tls());
        let with_tls = with_tls.map(|(index, _)| AgentId::new(index));
        Self {
            every: certificates.check_every(),
            agents: with_tls.fold(AgentSet::default(), AgentSet::with),
            next_look: None,
            look: None,
            found: certificates.found(),
            certificates,
        }
    }

    /// Begins a look if it is time, and hears of its end. `true`: there is something else now to make
    /// connections with. A connection that is made may have found it, too.
    pub(super) fn work(
        &mut self,
        now: Instant,
        is_in_use: bool,
        context: &mut Context<'_>,
    ) -> bool {
        self.begin(now, is_in_use);
        let looked = self.look.as_ref().map(|look| look.poll(context).is_ready());
        if looked == Some(true) {
            self.look = None;
        }
        let found = self.certificates.found();
        let is_renewed = found.renewals != self.found.renewals;
        self.found = found;
        is_renewed
    }

    fn begin(&mut self, now: Instant, is_in_use: bool) {
        if !is_in_use {
            self.next_look = None;
            return;
        }
        let next_look = *self.next_look.get_or_insert(now + self.every);
        if self.look.is_none() && next_look <= now {
            self.next_look = Some(now + self.every);
            self.look = self.certificates.begin_look();
        }
    }

    /// When to begin the next look. A thread that does not come back from the last one is not waited
    /// for, and gets no other.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_look.filter(|_| self.look.is_none())
    }

    /// Why the files that are there are not used.
    pub(super) fn trouble(&self) -> Option<&Arc<TlsSettingsError>> {
        self.found.trouble.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::poll_fn;
    use std::task::Poll;

    use rcgen::{CertificateParams, KeyPair};
    use tokio::runtime::Builder;

    use super::*;
    use crate::client::Client;
    use crate::config::TlsOptions;

    const SECOND: Duration = Duration::from_secs(1);

    fn certificate() -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    /// Works until the look that is under way is over, woken by nothing but its end.
    fn wait(renewal: &mut Renewal, now: Instant) -> bool {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut is_renewed = false;
        runtime.block_on(poll_fn(|context| {
            is_renewed |= renewal.work(now, true, context);
            match renewal.look {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            }
        }));
        is_renewed
    }

    #[test]
    fn files_are_looked_at_while_a_connection_is_open_and_at_no_other_time() {
        let home = tempfile::tempdir().unwrap();
        let ca = home.path().join("ca.pem");
        fs::write(&ca, certificate()).unwrap();
        let tls = TlsOptions::default().ca_file(&ca).check_every(SECOND);
        let agents = ["avro://a:1", "avro+tls://b:1"];
        let config = Client::builder().agents(agents).tls(tls).check().unwrap();
        let certificates = Certificates::start(&config).unwrap().unwrap();
        let mut renewal = Renewal::new(certificates, &config.agents);
        let of = |index| renewal.agents.contains(AgentId::new(index));
        assert_eq!([of(0), of(1)], [false, true]);

        let mut idle = Context::from_waker(std::task::Waker::noop());
        let now = Instant::now();
        assert!(!renewal.work(now, false, &mut idle));
        assert_eq!(renewal.deadline(), None);
        assert!(!renewal.work(now, true, &mut idle));
        assert_eq!(renewal.deadline(), Some(now + SECOND));
        assert!(!wait(&mut renewal, now + SECOND), "they are what they were");
        assert_eq!(renewal.deadline(), Some(now + 2 * SECOND));

        fs::write(&ca, "nothing").unwrap();
        assert!(!wait(&mut renewal, now + 2 * SECOND));
        assert!(renewal.trouble().is_some());
        fs::write(&ca, certificate()).unwrap();
        assert!(wait(&mut renewal, now + 3 * SECOND));
        assert!(renewal.trouble().is_none());
        renewal.work(now + 3 * SECOND, false, &mut idle);
        assert_eq!(renewal.deadline(), None, "nothing is open");
    }
}
