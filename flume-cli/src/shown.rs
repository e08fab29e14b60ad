//! What an agent with TLS showed: version, cipher suite, and its certificates.

use serde::Serialize;

#[cfg(feature = "tls")]
pub(crate) use with_tls::{line, tell};
#[cfg(not(feature = "tls"))]
pub(crate) use without_tls::{line, tell};

/// For machines.
#[derive(Serialize)]
pub(crate) struct TlsLine {
    version: &'static str,
    cipher: &'static str,
    chain: Vec<CertificateLine>,
}

/// A certificate. Times are in milliseconds since 1970.
#[derive(Serialize)]
struct CertificateLine {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before_ms: i64,
    not_after_ms: i64,
    days_left: i64,
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::time::{SystemTime, UNIX_EPOCH};

    use flume_client::AgentUrl;
    use flume_client::probe::{Probe, ProbedTls};
    use flume_client::tls::certificate::{Certificate, moment};

    use super::{CertificateLine, TlsLine};
    use crate::output;
    use crate::text::plural;

    /// A certificate that ends sooner is warned of.
    const WARN_DAYS: i64 = 30;
    const DAY: i64 = 24 * 3600;

    /// Prints it for people, and warns of certificates that end soon. `false`: it could not be written.
    pub(crate) fn tell(agent: &AgentUrl, probe: &Probe, is_json: bool) -> bool {
        let Some(tls) = &probe.tls else {
            return true;
        };
        let now = now();
        let mut written = true;
        if !is_json {
            for line in lines(tls) {
                written &= output::data(line);
            }
        }
        for warning in tls.chain.iter().filter_map(|it| warning(it, now)) {
            output::note(format_args!("{agent}: {warning}"));
        }
        written
    }

    pub(crate) fn line(probe: &Probe) -> Option<TlsLine> {
        let (tls, now) = (probe.tls.as_ref()?, now());
        let chain = tls.chain.iter().map(|certificate| CertificateLine {
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            names: certificate.names.clone(),
            not_before_ms: certificate.not_before.saturating_mul(1000),
            not_after_ms: certificate.not_after.saturating_mul(1000),
            days_left: days_left(certificate, now),
        });
        Some(TlsLine {
            version: tls.version,
            cipher: tls.cipher,
            chain: chain.collect(),
        })
    }

    /// As the certificates count, in seconds since 1970.
    fn now() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as i64)
    }

    fn days_left(certificate: &Certificate, now: i64) -> i64 {
        certificate.not_after.saturating_sub(now).div_euclid(DAY)
    }

    fn lines(tls: &ProbedTls) -> Vec<String> {
        let mut lines = vec![format!("  {}, {}", tls.version, tls.cipher)];
        for certificate in &tls.chain {
            let names = match &certificate.names[..] {
                [] => String::new(),
                names => format!("; for {}", names.join(", ")),
            };
            let signed = match certificate.is_self_signed() {
                true => "signed by itself".to_owned(),
                false => format!("signed by {}", name(&certificate.issuer)),
            };
            let end = moment(certificate.not_after);
            let subject = name(&certificate.subject);
            lines.push(format!("  {subject}{names}; {signed}; ends {end}"));
        }
        lines
    }

    fn warning(certificate: &Certificate, now: i64) -> Option<String> {
        let days = days_left(certificate, now);
        let subject = name(&certificate.subject);
        let end = moment(certificate.not_after);
        match days {
            ..0 => Some(format!(
                "the certificate {subject} ended {end}: have a new one made"
            )),
            0 => Some(format!(
                "the certificate {subject} ends within a day, {end}: have a new one made"
            )),
            1..WARN_DAYS => Some(format!(
                "the certificate {subject} ends in {}, {end}: have a new one made before that",
                plural(days as u64, "day")
            )),
            _ => None,
        }
    }

    /// Many certificates of hosts have none.
    fn name(subject: &str) -> &str {
        if subject.is_empty() {
            "(no subject)"
        } else {
            subject
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// What is said of one that ends so many seconds from now.
        fn said(seconds: i64) -> Option<String> {
            let mut certificate = Certificate::default();
            certificate.subject = "CN=a".to_owned();
            certificate.not_after = 1_800_000_000 + seconds;
            warning(&certificate, 1_800_000_000)
        }

        #[test]
        fn a_certificate_is_warned_of_thirty_days_before_its_end() {
            assert_eq!(said(30 * DAY), None);
            let soon = said(30 * DAY - 1).unwrap();
            assert!(
                soon.starts_with("the certificate CN=a ends in 29 days, 2027-02-14"),
                "{soon}"
            );
            assert!(said(DAY).unwrap().contains("in 1 day,"));
            assert!(said(DAY - 1).unwrap().contains("within a day"));
            assert!(said(-1).unwrap().contains("ended 2027-01-15"));
        }
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use flume_client::AgentUrl;
    use flume_client::probe::Probe;

    use super::TlsLine;

    pub(crate) fn tell(_: &AgentUrl, _: &Probe, _: bool) -> bool {
        true
    }

    pub(crate) fn line(_: &Probe) -> Option<TlsLine> {
        None
    }
}
