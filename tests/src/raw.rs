//! Objects by path and as JSON, for kinds that have no type here.

use kube::Client;
use serde_json::Value;

/// Writes an object by server-side apply, as somebody with a kubectl.
///
/// # Panics
/// When the API server refuses it.
pub async fn apply(client: &Client, path: &str, object: &Value) -> Value {
    let path = format!("{path}?fieldManager=alice&force=true");
    let request = http::Request::patch(&path)
        .header("content-type", "application/apply-patch+yaml")
        .body(object.to_string().into_bytes())
        .expect("a valid request");
    client.request(request).await.unwrap_or_else(|error| panic!("PATCH {path}: {error}"))
}

/// An object, if it is there.
///
/// # Panics
/// When the API server does not answer.
pub async fn get(client: &Client, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).expect("a valid request");
    match client.request(request).await {
        Ok(value) => Some(value),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => panic!("GET {path}: {error}"),
    }
}

/// Asks for the deletion of an object, if it is there.
///
/// # Panics
/// When the API server refuses it.
pub async fn delete(client: &Client, path: &str) {
    let request = http::Request::delete(path).body(Vec::new()).expect("a valid request");
    match client.request::<Value>(request).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => panic!("DELETE {path}: {error}"),
    }
}
