//! Reviews: kinds that are asked, not stored. Everybody may do everything here.

use serde_json::{Value, json};

use super::{Call, Cluster};
use crate::error::ApiError;
use crate::request::Reply;

impl Cluster {
    pub(super) fn answer_review(&self, call: &Call<'_>) -> Result<Reply, ApiError> {
        if call.request.method != http::Method::POST {
            return Err(ApiError::method_not_allowed());
        }
        let mut review = call.decode_document()?;
        let user = json!({"username": "simulator", "groups": ["system:masters"]});
        review["apiVersion"] = json!(call.resource.api_version());
        review["kind"] = json!(call.resource.kind);
        review["status"] = match call.resource.kind.as_str() {
            "SelfSubjectReview" => json!({"userInfo": user}),
            "TokenReview" => json!({"authenticated": true, "user": user}),
            "SelfSubjectRulesReview" => rules(),
            _ => json!({"allowed": true}),
        };
        Ok(Reply::json(201, &review))
    }
}

fn rules() -> Value {
    let all = json!(["*"]);
    json!({
        "incomplete": false,
        "resourceRules": [{"verbs": all, "apiGroups": all, "resources": all}],
        "nonResourceRules": [{"verbs": all, "nonResourceURLs": all}],
    })
}
