//! One HTTP request at a time, as much as a bed needs to see that its servers are ready and to
//! put a few objects into them. Blocking, a new connection for each request, no redirects: the
//! crates under test bring a real client, and this one must stay cheap to build.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::pki::Credentials;

/// How long one read or write may block.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A status code and a body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body of a successful answer; any other answer is an error that shows its body.
    pub(crate) fn success(self) -> Result<Vec<u8>> {
        if !(200..300).contains(&self.status) {
            bail!("answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(self.body)
    }
}

/// What a request to a Kubernetes API server needs beside the path.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    port: u16,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// A client of the server at 127.0.0.1:`port`.
    pub(crate) fn new(port: u16, credentials: &Credentials) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(credentials.ca_certificate.as_bytes())?)?;
        let certificate =
            CertificateDer::from_pem_slice(credentials.client_certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(credentials.client_key.as_bytes())?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Self { port, tls: Arc::new(tls) })
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Result<Response> {
        self.send("GET", path, "application/json", b"")
    }

    /// Any other request with a body.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Response> {
        exchange(self.connect(Some(TIMEOUT))?, method, path, content_type, body)
    }

    /// GET of a stream: what is returned gives the body as it comes, until the server ends it.
    pub(crate) fn watch(&self, path: &str) -> Result<impl Read> {
        let mut stream = BufReader::new(self.connect(None)?);
        ask(stream.get_mut(), "GET", path, "application/json", b"")?;
        let mut status = String::new();
        stream.read_line(&mut status)?;
        if status_of(&status)? != 200 {
            bail!("GET {path}: {}", status.trim());
        }
        let mut line = String::new();
        while stream.read_line(&mut line)? > 0 && line.trim() != "" {
            line.clear();
        }
        Ok(stream)
    }

    fn connect(
        &self,
        timeout: Option<Duration>,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost")?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), name)?;
        Ok(StreamOwned::new(tls, connect(self.port, timeout)?))
    }
}

/// GET without TLS, from 127.0.0.1.
pub(crate) fn get_plain(port: u16, path: &str) -> Result<Response> {
    exchange(connect(port, Some(TIMEOUT))?, "GET", path, "application/json", b"")
}

/// POST without TLS, from 127.0.0.1.
pub(crate) fn post_plain(port: u16, path: &str, body: &[u8]) -> Result<Response> {
    exchange(connect(port, Some(TIMEOUT))?, "POST", path, "application/json", body)
}

fn connect(port: u16, timeout: Option<Duration>) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)?;
    Ok(stream)
}

/// HTTP/1.0, so that the answer is neither chunked nor followed by another one.
fn ask(
    stream: &mut impl Write,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Result<()> {
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(stream.flush()?)
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Result<Response> {
    ask(&mut stream, method, path, content_type, body)?;
    let mut answer = Vec::new();
    // Go's servers close without TLS close_notify at times: what was read until then counts.
    if let Err(error) = stream.read_to_end(&mut answer)
        && error.kind() != std::io::ErrorKind::UnexpectedEof
    {
        return Err(error).with_context(|| format!("read the answer to {method} {path}"));
    }
    parse(&answer).with_context(|| format!("{method} {path}"))
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else { bail!("an answer without a head, {} bytes", answer.len()) };
    let head = std::str::from_utf8(&answer[..end]).context("an answer's head is not text")?;
    Ok(Response { status: status_of(head)?, body: answer[end + 4..].to_vec() })
}

fn status_of(head: &str) -> Result<u16> {
    Ok(head.split(' ').nth(1).context("an answer without a status")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let response = parse(b"HTTP/1.0 403 Forbidden\r\nA: b\r\n\r\n{}").expect("well formed");
        assert_eq!((response.status, response.body.as_slice()), (403, b"{}".as_slice()));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        parse(b"HTTP/1.0 200 OK\r\nA: b").expect_err("no end of the head");
    }
}
