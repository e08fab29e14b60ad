//! Agents with TLS.

use std::fs;
use std::time::{Duration, SystemTime};

use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::{Pem, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What belongs to somebody of this name, for so many days and half a day more.
fn params(name: &str, hosts: &[&str], days: u32) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY * days + DAY / 2).into();
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name, &[], 1000);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// An agent whose certificate ends in so many days. One that was signed by another signed it, and
/// `ca.pem` in the directory is that other one's.
pub(crate) fn tls_agent(days: u32) -> (MiniAgent, TempDir) {
    let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
    let [root_key, middle_key, key] = keys;
    let root = authority("root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let middle = authority("middle");
    let middle_pem = middle.signed_by(&middle_key, &root).unwrap().pem();
    let middle = Issuer::new(middle, middle_key);
    let own = params("agent", &["127.0.0.1", "collector.example"], days);
    let own_pem = own.signed_by(&key, &middle).unwrap().pem();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("ca.pem"), root_pem).unwrap();
    let shown = own_pem + &middle_pem + &key.serialize_pem();
    let tls = TlsConfig::new(Pem::Bytes(shown.into()));
    (MiniAgent::builder().tls(tls).start().unwrap(), home)
}
