//! A service with a span for each request. Its lines go to the agents of `FLUME_AGENTS`, or to one in
//! this process if there are none; `FLUME_SPOOL` and `FLUME_LOG` count as well.

use std::error::Error;
use std::time::Duration;

use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::{Router, response::Response, routing::get};
use flume_mini_agent::MiniAgent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{Instrument, field::Empty, info, info_span, warn};

async fn order(Path(number): Path<u32>) -> &'static str {
    info!(number, "order taken");
    if number == 13 {
        warn!(number, "nobody likes this one");
    }
    "taken"
}

/// Whatever is logged while a request is worked on tells which one it was.
async fn in_span(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let span = info_span!("request", method = %request.method(), path, status = Empty);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    span.in_scope(|| info!("answered"));
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mini_agent = MiniAgent::builder().start()?;
    let mut config = flume_tracing::effective_config()?;
    let is_here = std::env::var_os("FLUME_AGENTS").is_none();
    if is_here {
        config = config.agents([mini_agent.url()]);
    }
    println!("{config}");
    let guard = config.init()?;

    let routes = Router::new().route("/orders/{number}", get(order));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, routes.layer(from_fn(in_span))).into_future());
    for path in ["/orders/1", "/orders/13", "/"] {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut String::new()).await?;
    }
    drop(guard); // delivers what is left, for two seconds at the most
    let expected = if is_here { 6 } else { 0 };
    for event in mini_agent.wait_for(expected, Duration::from_secs(5))? {
        println!("{}", String::from_utf8_lossy(event.body()));
    }
    Ok(())
}
