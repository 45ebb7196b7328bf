//! What a server says that is asked about a past which it has forgotten.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use serde_json::{Value, json};

use super::crds::widgets;
use super::name_cases;
use super::server::{Server, text};

name_cases![
    watches_from_before_a_kind_was_served,
    lists_of_a_forgotten_past,
    continue_tokens_expire,
];

fn revision(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().expect("a number")
}

/// The revision of an early object, before which everything is forgotten from here on. Other
/// cases run at the same time and live later.
async fn forgotten_past(server: &Server) -> u64 {
    let early = revision(&server.get("/api/v1/namespaces/kube-system").await.ok());
    server.compact(early + 1);
    early
}

async fn watches_from_before_a_kind_was_served(server: Server) {
    let namespace = server.get(&format!("/api/v1/namespaces/{}", server.namespace)).await.ok();
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 1}))).await.ok();
    let target = format!("{path}?watch=true&resourceVersion={}", revision(&namespace));
    let mut events = server.watch(&target).await;
    let error = events.next().await;
    assert_eq!(error["type"], "ERROR");
    let status = &error["object"];
    assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(410)));
    assert_eq!(status["reason"], "Expired");
    let message = text(status, "/message");
    let expected = format!("too old resource version: {} (", revision(&namespace));
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(events.next_or_end().await, None);
    widgets.remove(&server).await;
}

async fn lists_of_a_forgotten_past(server: Server) {
    let widgets = widgets(&server).await;
    let early = forgotten_past(&server).await;
    let exact = format!("resourceVersion={early}&resourceVersionMatch=Exact");
    server.get(&format!("{}?{exact}", widgets.path(&server))).await.fails(410, "Expired");
    widgets.remove(&server).await;
}

async fn continue_tokens_expire(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    for name in ["a", "b"] {
        server.post(&path, &widgets.widget(name, json!({"size": 1}))).await.ok();
    }
    let early = forgotten_past(&server).await;
    let page = server.get(&format!("{path}?limit=1")).await.ok();
    let token = aged(&text(&page, "/metadata/continue"), revision(&page), early);
    let status =
        server.get(&format!("{path}?limit=1&continue={token}")).await.fails(410, "Expired");
    // Whoever can live with pages of different moments may go on from here.
    let fresh = text(&status, "/metadata/continue");
    let rest = server.get(&format!("{path}?limit=1&continue={fresh}")).await.ok();
    assert_eq!(rest["items"][0]["metadata"]["name"], "b");
    assert!(revision(&rest) >= revision(&page));
    widgets.remove(&server).await;
}

/// The token as if its list had begun at an earlier revision. Tokens are opaque to clients; in
/// both servers they are JSON with the revision as a number.
fn aged(token: &str, from: u64, to: u64) -> String {
    let token = TOKEN.decode(token).expect("base64");
    let mut token: Value = serde_json::from_slice(&token).expect("JSON");
    let fields = token.as_object_mut().expect("an object");
    let field = fields.values_mut().find(|it| it.as_u64() == Some(from));
    *field.expect("a token has its revision") = json!(to);
    TOKEN.encode(token.to_string())
}
