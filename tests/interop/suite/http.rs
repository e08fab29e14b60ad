//! Plain HTTP requests, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A status, the headers as text, and a body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// POSTs `body` with this `Content-Type`, if any, and returns the status.
pub(crate) fn post(addr: SocketAddr, content_type: Option<&str>, body: impl AsRef<[u8]>) -> u16 {
    request(addr, "POST", "/", content_type, body).status
}

pub(crate) fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Reply {
    let body = body.as_ref();
    let content_type = content_type.map_or_else(String::new, |t| format!("Content-Type: {t}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{content_type}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let blank = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(blank.unwrap() + 4);
    let head = String::from_utf8(head.to_vec()).unwrap();
    Reply {
        // "HTTP/1.1 200 OK"
        status: head[9..12].parse().unwrap(),
        head,
        body: body.to_vec(),
    }
}
