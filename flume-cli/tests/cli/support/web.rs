//! HTTP by hand: a request, and a server that answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::PATIENCE;

/// Sends a request without a body to `http://HOST:PORT`; status and body of the answer.
pub(crate) fn ask(url: &str, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "Host: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    socket
        .write_all(format!("{request} HTTP/1.1\r\n{head}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Answers every request with the same until told otherwise, and keeps the requests' heads.
pub(crate) struct WebServer {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    /// Status line and headers, and the body.
    answer: (String, String),
    requests: Vec<String>,
}

impl WebServer {
    pub(crate) fn start(head: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/conf/a1", listener.local_addr().unwrap());
        let state = State {
            answer: (head.to_owned(), body.to_owned()),
            requests: Vec::new(),
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        // Ends with the process.
        thread::spawn(move || {
            for socket in listener.incoming() {
                answer(socket.unwrap(), &shared);
            }
        });
        Self { url, state }
    }

    pub(crate) fn answer_with(&self, head: &str, body: &str) {
        self.state.0.lock().unwrap().answer = (head.to_owned(), body.to_owned());
    }

    /// The heads of all requests, once there are so many; in lower case.
    pub(crate) fn wait_for_requests(&self, requests: usize) -> Vec<String> {
        let (state, changed) = &*self.state;
        let state = state.lock().unwrap();
        let waited =
            changed.wait_timeout_while(state, PATIENCE, |state| state.requests.len() < requests);
        let (state, _) = waited.unwrap();
        assert!(state.requests.len() >= requests, "{:?}", state.requests);
        state.requests.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.0.lock().unwrap().requests.len()
    }
}

fn answer(mut socket: TcpStream, state: &(Mutex<State>, Condvar)) {
    let mut head = String::new();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {}
    let mut locked = state.0.lock().unwrap();
    locked.requests.push(head.to_lowercase());
    let (answer, body) = locked.answer.clone();
    drop(locked);
    let length = body.len();
    let text = format!("HTTP/1.1 {answer}\r\nContent-Length: {length}\r\n\r\n{body}");
    // The peer may have gone.
    drop(socket.write_all(text.as_bytes()));
    state.1.notify_all();
}
