//! Certificates of one cluster: a certificate authority, a server leaf for 127.0.0.1 and
//! localhost, an administrator's client certificate and the key pair of service accounts.
//!
//! kube-apiserver could sign a certificate for itself, but rustls refuses that one: it is no
//! certificate authority and yet its own issuer.

use std::{fs, net::Ipv4Addr, path::Path, time::SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// PEM texts that a client needs.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The certificate of the cluster's authority.
    pub ca_certificate: String,
    /// The administrator's certificate (organisation `system:masters`).
    pub client_certificate: String,
    /// The administrator's private key, PKCS#8.
    pub client_key: String,
    /// The private key of the cluster's authority, PKCS#8.
    authority_key: String,
}

impl Credentials {
    /// The same with an administrator's certificate that expires, for the cluster of this name.
    pub(crate) fn until(&self, cluster: &str, end: SystemTime) -> Result<Self> {
        let issuer = Issuer::new(authority(cluster), KeyPair::from_pem(&self.authority_key)?);
        let mut admin = admin();
        admin.not_after = end.into();
        let (client_certificate, client_key) = sign(admin, &issuer)?;
        Ok(Self { client_certificate, client_key, ..self.clone() })
    }
}

/// Makes everything for one cluster and writes it to `dir`, for the servers and for those who
/// attach to the bed later.
pub(crate) fn create(dir: &Path, cluster: &str) -> Result<Credentials> {
    let authority_key = KeyPair::generate()?;
    let authority = authority(cluster);
    let authority_certificate = authority.self_signed(&authority_key)?.pem();
    let authority_pem = authority_key.serialize_pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::default();
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.subject_alt_names = vec![
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::DnsName("localhost".try_into()?),
    ];
    let (server_certificate, server_key) = sign(server, &issuer)?;

    let (client_certificate, client_key) = sign(admin(), &issuer)?;

    let accounts = KeyPair::generate()?;
    for (name, pem) in [
        ("ca.crt", &authority_certificate),
        ("ca.key", &authority_pem),
        ("server.crt", &server_certificate),
        ("server.key", &server_key),
        ("admin.crt", &client_certificate),
        ("admin.key", &client_key),
        ("service-accounts.key", &accounts.serialize_pem()),
        ("service-accounts.pub", &accounts.public_key_pem()),
    ] {
        let path = dir.join(name);
        fs::write(&path, pem).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(Credentials {
        ca_certificate: authority_certificate,
        client_certificate,
        client_key,
        authority_key: authority_pem,
    })
}

/// Reads what [`create`] wrote.
pub(crate) fn load(dir: &Path) -> Result<Credentials> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    Ok(Credentials {
        ca_certificate: read("ca.crt")?,
        client_certificate: read("admin.crt")?,
        client_key: read("admin.key")?,
        authority_key: read("ca.key")?,
    })
}

fn authority(cluster: &str) -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("taffrail bed {cluster}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
}

fn admin() -> CertificateParams {
    let mut admin = CertificateParams::default();
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    admin
}

fn sign(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
