//! Where events come from: the host and the program.

use std::net::UdpSocket;

/// The name of this host, as `hostname` tells it; `localhost` if it has none.
pub(crate) fn host() -> String {
    let name = system_name();
    if name.is_empty() {
        "localhost".into()
    } else {
        name
    }
}

#[cfg(unix)]
fn system_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn system_name() -> String {
    let name = ["COMPUTERNAME", "HOSTNAME"].map(std::env::var);
    name.into_iter().find_map(Result::ok).unwrap_or_default()
}

/// The name of this program's file; `unknown` if the system does not tell.
pub(crate) fn program() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_name());
    let name = name.map_or_else(|| "unknown".into(), |name| name.to_string_lossy());
    let end = std::env::consts::EXE_SUFFIX;
    name.strip_suffix(end).unwrap_or(&name).to_owned()
}

/// The address that others reach this host by: that of the interface which the default route goes
/// through. Nothing is sent and no name is looked up, so it takes no time. Without a route it is that
/// of the loopback.
pub(crate) fn address() -> String {
    let found = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // An address that RFC 5737 keeps for examples.
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    found.map_or_else(|_| "127.0.0.1".into(), |address| address.ip().to_string())
}
