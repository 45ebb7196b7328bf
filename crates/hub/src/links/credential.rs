//! How long the credential in a kubeconfig is good for.
//!
//! Only bearer tokens tell: a JSON Web Token says when it expires (RFC 7519, §4.1.4), as those of
//! service accounts do. It is read without being verified, since nothing is trusted because of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::Timestamp;
use kube::config::Kubeconfig;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

/// The part of a token that matters here.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970.
    exp: i64,
}

/// When the credential of the current context ends; `None` if it does not, or nobody can tell.
pub(super) fn expires_at(kubeconfig: &[u8]) -> Option<Timestamp> {
    let kubeconfig = Kubeconfig::from_yaml(std::str::from_utf8(kubeconfig).ok()?).ok()?;
    let current = kubeconfig.current_context?;
    let context = kubeconfig.contexts.into_iter().find(|context| context.name == current)?;
    let user = context.context?.user?;
    let user = kubeconfig.auth_infos.into_iter().find(|info| info.name == user)?.auth_info?;
    token_expires_at(user.token?.expose_secret())
}

fn token_expires_at(token: &str) -> Option<Timestamp> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(exp).ok()
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

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let user = format!("{{token: {}}}", token(r#"{"exp":1767225600,"aud":["a"]}"#));
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
            format!("{{token: {}}}", token(r#"{"sub":"hub"}"#)),
            format!("{{token: {}}}", token(r#"{"exp":99999999999999999}"#)),
        ];
        for user in users {
            assert_eq!(expires_at(kubeconfig(&user).as_bytes()), None, "{user}");
        }
        assert_eq!(expires_at(b"not a kubeconfig"), None);
    }
}
