//! What requests to agents at `http://` carry beside events.

use std::path::PathBuf;

use clap::Args;
use flume_client::agent_url::Door;
use flume_client::{AgentError, AgentUrl, ClientBuilder, HttpOptions, Secret};

/// The arguments about HTTP.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP, for agents at http:// and https://")]
pub(crate) struct HttpArgs {
    /// Send the token in this file with each request, as Authorization: Bearer
    #[arg(long, value_name = "FILE", env = "FLUME_BEARER_TOKEN_FILE")]
    bearer_token_file: Option<PathBuf>,
}

impl HttpArgs {
    /// Gives a client of these agents what was given, if something was.
    pub(crate) fn apply(&self, builder: ClientBuilder, agents: &[AgentUrl]) -> ClientBuilder {
        let mut doors = agents.iter().map(|agent| agent.scheme().door());
        match &self.bearer_token_file {
            Some(file) if doors.any(|door| door == Door::Http) => {
                builder.http(HttpOptions::default().bearer_token(Secret::file(file)))
            }
            _ => builder,
        }
    }
}

/// Whether credentials are the reason, so that a person has to mend something.
pub(crate) fn is_unauthorized(error: &AgentError) -> bool {
    matches!(error, AgentError::Http(refusal) if refusal.is_about_credentials())
}
