//! Traces as a receiver of OpenTelemetry gets them, over both protocols.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use crate::common::taffrail;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

/// What one trace of a change has to show.
const WHOLE: [&str; 6] = ["submit", "decide", "append", "apply", "deliver", "status"];

/// What has come: names of spans by trace, and names of services.
#[derive(Clone, Default)]
struct Received {
    traces: Arc<Mutex<BTreeMap<Vec<u8>, BTreeSet<String>>>>,
    services: Arc<Mutex<BTreeSet<String>>>,
}

impl Received {
    fn take(&self, message: &[u8]) {
        let request = ExportTraceServiceRequest::decode(message).expect("it is an export");
        for spans in request.resource_spans {
            for attribute in spans.resource.unwrap_or_default().attributes {
                let value = attribute.value.and_then(|value| value.value);
                if let (true, Some(Value::StringValue(name))) =
                    (attribute.key == "service.name", value)
                {
                    self.services.lock().unwrap().insert(name);
                }
            }
            for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.traces.lock().unwrap().entry(span.trace_id).or_default().insert(span.name);
            }
        }
    }

    fn check(&self, service: &str) {
        let whole: BTreeSet<String> = WHOLE.map(str::to_owned).into();
        let traces = self.traces.lock().unwrap();
        assert!(
            traces.values().any(|names| names.is_superset(&whole)),
            "no trace shows all of it: {:?}",
            traces.values().collect::<Vec<_>>()
        );
        assert_eq!(*self.services.lock().unwrap(), BTreeSet::from([service.to_owned()]));
    }
}

/// A receiver of `http/protobuf`.
fn receive_http(received: Received) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let received = received.clone();
            std::thread::spawn(move || while answer_http(&stream, &received).is_some() {});
        }
    });
    address
}

/// Answers one request; `None` at the end of the connection.
fn answer_http(mut stream: &TcpStream, received: &Received) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert_eq!(line.trim_end(), "POST /v1/traces HTTP/1.1");
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("content-type", value)) => assert_eq!(value, "application/x-protobuf"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    received.take(&body);
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).ok()
}

/// A receiver of `grpc`.
fn receive_grpc(received: Received) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_grpc(stream, received.clone()));
            }
        });
    });
    address
}

async fn serve_grpc(stream: tokio::net::TcpStream, received: Received) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let received = received.clone();
        tokio::spawn(async move { answer_grpc(request, respond, &received).await.unwrap() });
    }
}

async fn answer_grpc(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    received: &Received,
) -> Result<(), h2::Error> {
    let method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(request.uri().path(), method);
    let mut body = request.into_body();
    let mut message = vec![];
    while let Some(data) = body.data().await.transpose()? {
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    // A byte says whether it is compressed, four how long it is.
    received.take(&message[5..]);
    let head = http::Response::builder().header("content-type", "application/grpc").body(());
    let mut answer = respond.send_response(head.expect("a response"), false)?;
    answer.send_data(Bytes::from_static(&[0; 5]), false)?;
    let status =
        (http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"));
    answer.send_trailers([status].into_iter().collect())
}

/// Names and values.
type Environment<'a> = &'a [(&'a str, &'a str)];

/// The program with what the environment says about traces.
fn traced(line: &str, variables: Environment) -> Command {
    let mut command = taffrail(line.split_whitespace());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command
}

fn run(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_change_is_one_trace_over_grpc() {
    let received = Received::default();
    let endpoint = format!("http://{}", receive_grpc(received.clone()));
    run(traced("demo --script --clusters 1", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]));
    received.check("taffrail");
}

#[test]
fn regression_a_change_is_one_trace_over_http() {
    let received = Received::default();
    let endpoint = format!("http://{}", receive_http(received.clone()));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_SERVICE_NAME", "fleet-eu"),
    ];
    run(traced("demo --script --clusters 1", &variables));
    received.check("fleet-eu");
}

#[test]
fn regression_commands_that_ask_do_not_care_where_traces_go() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere at all")];
    let line = "status --server http://127.0.0.1:9";
    let output = traced(line, &variables).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: the hub at http://127.0.0.1:9 does not answer"), "{said}");
}

#[test]
fn what_cannot_be_followed_is_wrong_use() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const HERE: (&str, &str) = (ENDPOINT, "https://127.0.0.1:4317");
    let table: [(Environment, &str, &str); 5] = [
        (
            &[HERE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            "error: OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not supported",
            "set it to grpc or to http/protobuf",
        ),
        (
            &[(ENDPOINT, "collector:4317")],
            "error: OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317 is no endpoint for traces",
            "write it like http://127.0.0.1:4317, or unset it to go without traces",
        ),
        (
            &[HERE, ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "key.pem")],
            "error: OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY is set, but traces are sent without a \
             client certificate",
            "unset OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        ),
        (
            &[HERE, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "nowhere.pem")],
            "error: OTEL_EXPORTER_OTLP_CERTIFICATE=nowhere.pem cannot be read: No such file or \
             directory (os error 2)",
            "name a file with PEM in it",
        ),
        (
            &[
                HERE,
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
            ],
            "error: OTEL_EXPORTER_OTLP_CERTIFICATE is followed with \
             OTEL_EXPORTER_OTLP_PROTOCOL=grpc only",
            "use grpc, or have the system trust the certificate",
        ),
    ];
    for (variables, what, how) in table {
        let output = traced("demo --script --clusters 1", variables).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("{what}\n{how}\n"));
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

#[test]
fn regression_an_endpoint_with_tls_is_no_reason_not_to_start() {
    for protocol in ["grpc", "http/protobuf"] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ];
        run(traced("demo --script --clusters 1", &variables));
    }
}
