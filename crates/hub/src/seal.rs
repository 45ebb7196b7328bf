//! Sealing: Secrets stand in the log only encrypted, under a key that is not in the log.
//!
//! Sealing is deterministic: the nonce is a keyed hash of the plain text, so the same Secret gives
//! the same bytes, and with them the same content hash. An attacker without the key learns whether
//! two Secrets are equal, and nothing else.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::Sha256;

use crate::namespaces::ensure_namespace;

/// What sealed bytes start with: says how they are sealed.
const MAGIC: &[u8] = b"taffrail-seal-1\n";

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// The Secret on the hub that holds the key.
pub const KEY_SECRET: &str = "taffrail-seal-key";

/// The key of that Secret's data.
const KEY_ENTRY: &str = "key";

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The bytes were not sealed with this key, or were changed.
    #[error("sealed content cannot be opened: it was sealed with another key, or is damaged")]
    Open,
    /// The key on the hub is no key.
    #[error("the Secret {namespace}/{KEY_SECRET} holds no key of {KEY_BYTES} bytes")]
    NoKey {
        /// Where it is.
        namespace: String,
    },
    /// The hub's API server did not give the key.
    #[error("the key in the Secret {namespace}/{KEY_SECRET} cannot be read or made")]
    Hub {
        /// Where it is.
        namespace: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

/// The key that Secrets are sealed with.
#[derive(Clone)]
pub struct SealKey {
    cipher: XChaCha20Poly1305,
    nonce_key: [u8; KEY_BYTES],
}

impl SealKey {
    /// The key made of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let derive = |purpose: &[u8]| -> [u8; KEY_BYTES] { keyed_hash(&bytes, purpose) };
        Self {
            cipher: XChaCha20Poly1305::new(Key::from_slice(&derive(b"encrypt"))),
            nonce_key: derive(b"nonce"),
        }
    }

    /// Reads the key from the hub; makes one when there is none yet. Of several hubs that do so at
    /// once, all get the one that was stored first.
    ///
    /// # Errors
    /// When the API server refuses, or what is stored is no key.
    pub async fn load_or_create(client: &Client, namespace: &str) -> Result<Self, SealError> {
        let failed =
            |source| SealError::Hub { namespace: namespace.to_owned(), source: Box::new(source) };
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let stored = match api.get_opt(KEY_SECRET).await.map_err(failed)? {
            Some(stored) => stored,
            None => {
                ensure_namespace(client, namespace).await.map_err(failed)?;
                match api.create(&PostParams::default(), &new_key()).await {
                    Ok(created) => created,
                    Err(kube::Error::Api(status)) if status.code == 409 => {
                        api.get(KEY_SECRET).await.map_err(failed)?
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        let bytes = stored.data.and_then(|mut data| data.remove(KEY_ENTRY));
        let key = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.0).ok());
        key.map(Self::new).ok_or_else(|| SealError::NoKey { namespace: namespace.to_owned() })
    }

    /// Seals bytes.
    #[must_use]
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; KEY_BYTES] = keyed_hash(&self.nonce_key, plain);
        let nonce = &nonce[..NONCE_BYTES];
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(nonce), plain)
            .expect("a Secret is far smaller than what the cipher takes");
        [MAGIC, nonce, &sealed].concat()
    }

    /// Opens sealed bytes.
    ///
    /// # Errors
    /// When they were not sealed with this key.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(SealError::Open)?;
        let (nonce, body) = rest.split_at_checked(NONCE_BYTES).ok_or(SealError::Open)?;
        self.cipher.decrypt(XNonce::from_slice(nonce), body).map_err(|_| SealError::Open)
    }
}

fn keyed_hash(key: &[u8; KEY_BYTES], data: &[u8]) -> [u8; KEY_BYTES] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length is a key");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn new_key() -> Secret {
    // Two random UUIDs hold 244 random bits; the hash spreads them over the key.
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let bytes = keyed_hash(&[0; KEY_BYTES], &[a.as_bytes().as_slice(), b.as_bytes()].concat());
    Secret {
        metadata: ObjectMeta { name: Some(KEY_SECRET.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(KEY_ENTRY.to_owned(), ByteString(bytes.to_vec()))])),
        immutable: Some(true),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_with_the_same_key_only() {
        let key = SealKey::new([7; KEY_BYTES]);
        let sealed = key.seal(b"token");
        assert_eq!(key.open(&sealed).unwrap(), b"token");
        assert!(SealKey::new([8; KEY_BYTES]).open(&sealed).is_err());
        assert!(!sealed.windows(5).any(|window| window == b"token"));
    }

    #[test]
    fn the_same_bytes_are_sealed_the_same_way() {
        let key = SealKey::new([7; KEY_BYTES]);
        assert_eq!(key.seal(b"a"), key.seal(b"a"));
        assert_ne!(key.seal(b"a"), key.seal(b"b"));
    }

    #[test]
    fn changed_bytes_do_not_open() {
        let key = SealKey::new([7; KEY_BYTES]);
        let mut sealed = key.seal(b"token");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(key.open(&sealed).is_err());
        assert!(key.open(b"").is_err());
    }
}
