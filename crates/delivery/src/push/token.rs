//! Tokens of the member's service accounts.

use events::cluster::LinkProblem;
use serde_json::json;

use super::PushMember;
use super::discovery::Resource;
use super::requests::CallError;
use crate::failure::is_forbidden;

impl PushMember {
    /// See [`Link::token`](crate::Link::token).
    pub(super) async fn token(
        &self,
        namespace: &str,
        account: &str,
        seconds: i64,
    ) -> Result<String, CallError> {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": seconds },
        });
        let accounts = Resource::core("ServiceAccount", "serviceaccounts");
        let request = accounts.at(namespace).create_subresource(
            "token",
            account,
            &Default::default(),
            body.to_string().into_bytes(),
        );
        let answer = match self.requests.send_request(request).await {
            // Said here, since what is said of other requests is about objects to be placed.
            Err(CallError::Refused(status)) if is_forbidden(&status) => {
                return Err(CallError::Unusable {
                    problem: LinkProblem::Forbidden,
                    message: format!(
                        "the credential may not create serviceaccounts/token for {account} in \
                         {namespace}"
                    ),
                });
            }
            answer => answer?,
        };
        let token = answer["status"]["token"].as_str().filter(|token| !token.is_empty());
        token.map(str::to_owned).ok_or_else(|| CallError::Unusable {
            problem: LinkProblem::Unreachable,
            message: "the member answered to a request for a token without one".to_owned(),
        })
    }
}
