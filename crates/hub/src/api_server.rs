//! Whether the hub's API server answers. A server that hangs ends no watch and fails no request for
//! a minute; asked a cheap question now and then, it is found out within seconds.

use std::time::Duration;

use actors::concerns::{Concerns, Gravity};
use actors::supervised::Supervisor;
use events::Timestamp;
use kube::Client;
use tokio::task::JoinHandle;

/// The check under which it is named.
const CHECK: &str = "hub-api";

/// How often it is asked, and how long it may take to answer: together the most that it can be silent
/// without being named. People expect ten seconds; a server that is merely busy answers this within
/// one.
const ASK_EVERY: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Asks for ever.
pub(crate) fn watch(client: Client, supervisor: &Supervisor, concerns: Concerns) -> JoinHandle<()> {
    supervisor.keep("hub API server", Gravity::Warning, (client, concerns), ask_again)
}

async fn ask_again((client, concerns): (Client, Concerns)) {
    let mut since = None;
    loop {
        let trouble = ask(&client).await.err();
        if trouble.is_none() {
            since = None;
        }
        let told = trouble.map(|trouble| {
            let since = since.get_or_insert_with(Timestamp::now);
            format!(
                "the hub's API server {trouble}, since {since:.0}: changes are not seen and statuses \
                 not written; what is decided already is delivered; look at it with: kubectl get \
                 --raw /readyz"
            )
        });
        concerns.set(CHECK, "", Gravity::Warning, told);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// What is wrong with its answer, if something is. That it answers is what counts: it may refuse to
/// say how it is.
async fn ask(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz").body(Vec::new()).expect("a path is a request");
    match tokio::time::timeout(ANSWER_WITHIN, client.request_text(request)).await {
        Err(_) => Err(format!("does not answer within {} s", ANSWER_WITHIN.as_secs())),
        Ok(Err(kube::Error::Api(status))) if status.code >= 500 => {
            Err(format!("says that it is not ready ({})", status.code))
        }
        Ok(Ok(_) | Err(kube::Error::Api(_))) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot be reached ({error})")),
    }
}
