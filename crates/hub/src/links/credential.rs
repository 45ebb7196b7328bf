//! How long the credential in a kubeconfig is good for.
//!
//! Only bearer tokens tell: a JSON Web Token says when it expires (RFC 7519, §4.1.4), as those of
//! service accounts do. It is read without being verified, since nothing is trusted because of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::Timestamp;
use kube::config::Kubeconfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The part of a token that matters here.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970.
    exp: i64,
    /// When it was given, in the same way.
    iat: Option<i64>,
    /// Whose it is.
    #[serde(default)]
    sub: String,
}

/// What the subject of a token of a service account starts with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A token that a member gave for one of its service accounts, and can give again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewableToken {
    /// The Secret on the hub that holds it.
    pub secret: String,
    /// The namespace of the account.
    pub namespace: String,
    /// The account.
    pub account: String,
    /// When it was given.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Tells it from others that were given in the same second.
    fingerprint: [u8; 32],
}

impl RenewableToken {
    /// Whether two thirds of its life are over.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let life = self.expires_at.duration_since(self.issued_at);
        let age = now.duration_since(self.issued_at);
        age.saturating_mul(3) >= life.saturating_mul(2)
    }

    /// How long it was given for.
    pub(crate) fn life_seconds(&self) -> i64 {
        self.expires_at.duration_since(self.issued_at).as_secs().max(LIFE_SECONDS_MIN)
    }

    /// Whether a kubeconfig still holds this token.
    pub(crate) fn is_in(&self, kubeconfig: &[u8]) -> bool {
        renewable(&self.secret, kubeconfig).as_ref() == Some(self)
    }
}

/// The shortest life that an API server gives a token.
const LIFE_SECONDS_MIN: i64 = 600;

/// When the credential of the current context ends; `None` if it does not, or nobody can tell.
pub(super) fn expires_at(kubeconfig: &[u8]) -> Option<Timestamp> {
    Timestamp::from_second(claims(&token(kubeconfig)?)?.exp).ok()
}

/// The token of the current context, if it is one of a service account that tells its life.
pub(super) fn renewable(secret: &str, kubeconfig: &[u8]) -> Option<RenewableToken> {
    let token = token(kubeconfig)?;
    let Claims { exp, iat, sub } = claims(&token)?;
    let (namespace, account) = sub.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    Some(RenewableToken {
        secret: secret.to_owned(),
        namespace: namespace.to_owned(),
        account: account.to_owned(),
        issued_at: Timestamp::from_second(iat?).ok()?,
        expires_at: Timestamp::from_second(exp).ok()?,
        fingerprint: Sha256::digest(token.expose_secret()).into(),
    })
}

/// The token of the current context.
fn token(kubeconfig: &[u8]) -> Option<SecretString> {
    let kubeconfig = Kubeconfig::from_yaml(std::str::from_utf8(kubeconfig).ok()?).ok()?;
    let current = kubeconfig.current_context?;
    let context = kubeconfig.contexts.into_iter().find(|context| context.name == current)?;
    let user = context.context?.user?;
    let user = kubeconfig.auth_infos.into_iter().find(|info| info.name == user)?.auth_info?;
    user.token
}

fn claims(token: &SecretString) -> Option<Claims> {
    let claims = token.expose_secret().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(user: &str) -> String {
        format!(
            "{{current-context: there, contexts: [{{name: there, context: {{cluster: c, user: u}}}}], \
             clusters: [], users: [{{name: other, user: {{}}}}, {{name: u, user: {user}}}]}}"
        )
    }

    fn made_token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let user = format!("{{token: {}}}", made_token(r#"{"exp":1767225600,"aud":["a"]}"#));
        let ends = expires_at(kubeconfig(&user).as_bytes());
        assert_eq!(ends, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_says_nothing_has_no_end() {
        let users = [
            "{}".to_owned(),
            "{token: opaque}".to_owned(),
            "{token: a.b.c}".to_owned(),
            "{username: a, password: b}".to_owned(),
            format!("{{token: {}}}", made_token(r#"{"sub":"hub"}"#)),
            format!("{{token: {}}}", made_token(r#"{"exp":99999999999999999}"#)),
        ];
        for user in users {
            assert_eq!(expires_at(kubeconfig(&user).as_bytes()), None, "{user}");
        }
        assert_eq!(expires_at(b"not a kubeconfig"), None);
    }

    #[test]
    fn a_token_is_renewed_when_two_thirds_of_its_life_are_over() {
        let claims = r#"{"iat":1000,"exp":4000,"sub":"system:serviceaccount:fleet-system:hub"}"#;
        let user = format!("{{token: {}}}", made_token(claims));
        let kubeconfig = kubeconfig(&user);
        let token = renewable("link-eu", kubeconfig.as_bytes()).unwrap();
        assert_eq!((token.namespace.as_str(), token.account.as_str()), ("fleet-system", "hub"));
        assert_eq!(token.life_seconds(), 3000);
        let is_due = |second| token.is_due(Timestamp::from_second(second).unwrap());
        assert_eq!([0, 2999, 3000, 9999].map(is_due), [false, false, true, true]);
        assert!(token.is_in(kubeconfig.as_bytes()));
        let of_the_same_second = kubeconfig.replace("c2ln", "c2lo");
        assert!(!token.is_in(of_the_same_second.as_bytes()));
        assert!(!token.is_in(super::tests::kubeconfig("{token: other}").as_bytes()));
    }

    #[test]
    fn times_at_the_ends_of_the_calendar_do_no_harm() {
        let (first, last) = (Timestamp::MIN, Timestamp::MAX);
        let claims = format!(
            r#"{{"iat":{},"exp":{},"sub":"system:serviceaccount:n:a"}}"#,
            first.as_second(),
            last.as_second()
        );
        let kubeconfig = kubeconfig(&format!("{{token: {}}}", made_token(&claims)));
        let token = renewable("link", kubeconfig.as_bytes()).unwrap();
        assert!(!token.is_due(first));
        assert!(token.is_due(last));
        assert!(token.life_seconds() > 0);
    }

    #[test]
    fn only_tokens_of_service_accounts_can_be_renewed() {
        for claims in [
            r#"{"iat":1000,"exp":4000,"sub":"alice"}"#,
            r#"{"exp":4000,"sub":"system:serviceaccount:fleet-system:hub"}"#,
            r#"{"iat":1000,"exp":4000,"sub":"system:serviceaccount:hub"}"#,
        ] {
            let user = format!("{{token: {}}}", made_token(claims));
            assert_eq!(renewable("link", kubeconfig(&user).as_bytes()), None, "{claims}");
        }
    }
}
