//! [`Addresses`]: by which names the control interface answers.
//!
//! A web page cannot name another host in the requests that it has a browser send. But whoever
//! serves the page can let its own name lead to this machine (DNS rebinding); then the browser
//! takes the agent for the page's own server, and lets it read the answers. The `Host` of such a
//! request is that name.

use std::net::{IpAddr, SocketAddr};

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// Where the control interface listens.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The host as it was given.
    given: String,
}

impl Addresses {
    /// Of an interface at `HOST:PORT`.
    pub(super) fn of(address: &str) -> Self {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        Self {
            given: bare(host).to_owned(),
        }
    }

    /// Whether a request that came to `local` is meant for it: every host that it names is a
    /// loopback name, that address, or the one that was given.
    pub(super) fn are_asked<B>(&self, request: &Request<B>, local: SocketAddr) -> bool {
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let host = Authority::try_from(host.as_bytes()).ok();
        let target = request.uri().authority();
        host.is_some_and(|host| self.have(&host, local))
            && target.is_none_or(|target| self.have(target, local))
    }

    fn have(&self, asked: &Authority, local: SocketAddr) -> bool {
        let host = bare(asked.host());
        let is_ours = |ip: IpAddr| ip.is_loopback() || ip == local.ip().to_canonical();
        let is_name = |name: &str| host.eq_ignore_ascii_case(name);
        !asked.as_str().contains('@')
            && match host.parse::<IpAddr>() {
                Ok(ip) => is_ours(ip.to_canonical()),
                Err(_) => is_name("localhost") || (!host.is_empty() && is_name(&self.given)),
            }
    }
}

/// An address without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:41414";

    #[track_caller]
    fn check(given: &str, local: &str, request: (&str, &[&str]), expected: bool) {
        let (target, hosts) = request;
        let mut built = Request::get(target);
        for host in hosts {
            built = built.header(HOST, *host);
        }
        let asked =
            Addresses::of(given).are_asked(&built.body(()).unwrap(), local.parse().unwrap());
        assert_eq!(asked, expected, "{given} {request:?}");
    }

    #[test]
    fn loopback_names_and_the_bound_address_are_answered_to() {
        for host in [
            "127.0.0.1:41414",
            "127.0.0.1",
            "localhost:41414",
            "LOCALHOST",
            "[::1]:1",
        ] {
            check(LOOPBACK, LOOPBACK, ("/events", &[host]), true);
        }
        check("[::1]:1", "[::1]:1", ("/", &["[::1]:1"]), true);
        check("0.0.0.0:1", "10.1.2.3:1", ("/", &["10.1.2.3:1"]), true);
        check(
            "[::]:1",
            "[::ffff:10.1.2.3]:1",
            ("/", &["10.1.2.3:1"]),
            true,
        );
        check("build-7:1", "10.1.2.3:1", ("/", &["Build-7:1"]), true);
        check(
            LOOPBACK,
            LOOPBACK,
            ("http://localhost/events", &["localhost"]),
            true,
        );
    }

    #[test]
    fn all_other_hosts_are_not_nor_two_of_them_nor_none() {
        for host in [
            "evil.example",
            "evil.example:41414",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.9.9.9",
            "0.0.0.0",
            "",
            ":41414",
            "evil@127.0.0.1",
            "[::1",
            "a b",
        ] {
            check(LOOPBACK, LOOPBACK, ("/events", &[host]), false);
        }
        check(LOOPBACK, LOOPBACK, ("/", &[]), false);
        check(
            LOOPBACK,
            LOOPBACK,
            ("/", &["localhost", "localhost"]),
            false,
        );
        check(
            LOOPBACK,
            LOOPBACK,
            ("http://evil.example/", &["localhost"]),
            false,
        );
        check("0.0.0.0:1", "10.1.2.3:1", ("/", &["evil.example"]), false);
    }
}
