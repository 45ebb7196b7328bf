//! For which hosts a hub answers.
//!
//! A hub on loopback is within reach of every page in a browser on that machine: a name of the
//! page's own that resolves to 127.0.0.1 makes the hub part of that page's site. So the hub answers
//! only when it is called by a name of its own, and only to pages that it would serve itself.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use super::error::Problem;

/// What browsers say about the page that asks (W3C, Fetch Metadata Request Headers).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The hosts that a hub answers for: its address, this machine's loopback, and names that its
/// configuration gives it. Where it listens on all addresses, each of them.
#[derive(Debug, Clone)]
pub struct Hosts {
    listens: IpAddr,
    named: Vec<String>,
}

impl Hosts {
    /// Those of a hub that listens here and has these names.
    #[must_use]
    pub fn new(listens: SocketAddr, named: &[String]) -> Self {
        let named = named.iter().map(|name| name_of(name).to_ascii_lowercase()).collect();
        Self { listens: listens.ip(), named }
    }

    /// Refuses a request that is meant for somebody else, or comes from a page of somebody else.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(HOST.as_str()).unwrap_or_default();
        if !self.is_own(host) {
            return Err(Problem::misdirected(host));
        }
        let is_own_page = text(ORIGIN.as_str()).is_none_or(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        });
        let is_own_site =
            text(SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
        if is_own_page && is_own_site { Ok(()) } else { Err(Problem::other_site()) }
    }

    fn is_own(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(address) => {
                address.is_loopback()
                    || self.listens.is_unspecified()
                    || address == self.listens
                    || self.named.contains(&name)
            }
            Err(_) => name == "localhost" || self.named.contains(&name),
        }
    }
}

/// A host without its port, and without what encloses an IPv6 address.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.contains(':') => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn hosts(listens: &str) -> Hosts {
        Hosts::new(listens.parse().unwrap(), &["Hub.example.org:8321".to_owned()])
    }

    fn is_answered(hosts: &Hosts, headers: &[(&str, &str)]) -> bool {
        let entries = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        hosts.check(&entries.collect()).is_ok()
    }

    #[test]
    fn a_hub_answers_to_its_own_names() {
        let hosts = hosts("10.0.0.7:8321");
        let own = [
            "localhost",
            "LOCALHOST:9000",
            "127.0.0.1:8321",
            "[::1]:8321",
            "10.0.0.7",
            "hub.example.org",
            "hub.example.org.:80",
        ];
        for host in own {
            assert!(is_answered(&hosts, &[("host", host)]), "{host}");
        }
        let others =
            ["", "evil.example", "10.0.0.8", "localhost.evil.example", "hub.example.org.uk"];
        for host in others {
            assert!(!is_answered(&hosts, &[("host", host)]), "{host}");
        }
        assert!(!is_answered(&hosts, &[]), "one that names none");
    }

    /// As the kubelet asks a pod.
    #[test]
    fn a_hub_on_all_addresses_answers_to_each_of_them_but_to_no_name() {
        let hosts = hosts("0.0.0.0:8321");
        assert!(is_answered(&hosts, &[("host", "10.244.0.9:8321")]));
        assert!(is_answered(&hosts, &[("host", "[fd00::9]:8321")]));
        assert!(!is_answered(&hosts, &[("host", "rebound.example:8321")]));
    }

    #[test]
    fn pages_of_other_sites_get_no_answer() {
        let hosts = hosts("127.0.0.1:8321");
        let from = |name, value| is_answered(&hosts, &[("host", "localhost:8321"), (name, value)]);
        assert!(from("origin", "http://localhost:8321"));
        assert!(!from("origin", "http://localhost:3000"));
        assert!(!from("origin", "https://evil.example"));
        assert!(!from("origin", "null"));
        assert!(from("sec-fetch-site", "none"));
        assert!(from("sec-fetch-site", "same-origin"));
        assert!(!from("sec-fetch-site", "cross-site"));
        assert!(!from("sec-fetch-site", "same-site"));
    }
}
