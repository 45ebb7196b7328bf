//! What the hub may do on a member: its service account, and the roles that it gets.

use anyhow::{Context, Result};
use api::names::FLEET_SYSTEM_NAMESPACE;
use clap::ValueEnum;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DeleteParams;
use kube::{Api, Client, ResourceExt};

use super::Args;
use crate::kubernetes::{apply, ensure_namespace};

/// Who the hub is on a member, and the name of the roles that only it has.
pub(super) const SERVICE_ACCOUNT: &str = "taffrail-hub";

/// The binding to the ClusterRole that says what may be placed.
const PLACES: &str = "taffrail-hub-places";

/// The ClusterRole of every cluster that may do nearly everything within namespaces.
const NAMESPACED: &str = "admin";

const MAY: &str = "you must be an administrator of the member";

/// What the hub may place on a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Everything: the hub is an administrator of the member
    Admin,
    /// Namespaces and what the member's ClusterRole `admin` lets one write in them
    Namespaced,
}

/// What the hub was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rights {
    Profile(Profile),
    ClusterRole(String),
    /// Nobody asked for other ones.
    AsBefore,
}

impl Rights {
    pub(super) fn asked(args: &Args) -> Option<Self> {
        match (&args.cluster_role, args.profile) {
            (Some(role), _) => Some(Self::ClusterRole(role.clone())),
            (None, Some(profile)) => Some(Self::Profile(profile)),
            (None, None) => None,
        }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Profile(Profile::Admin) => {
                "admin: it may read and write everything on the member".to_owned()
            }
            Self::Profile(Profile::Namespaced) => format!(
                "namespaced: namespaces, and in them what the ClusterRole {NAMESPACED} allows; of the \
                 rest of the cluster what every member needs (docs/operations.md)"
            ),
            Self::ClusterRole(name) => format!(
                "what the ClusterRole {name} allows, and what every member needs (docs/operations.md)"
            ),
            Self::AsBefore => "as before".to_owned(),
        }
    }

    /// The ClusterRole that says what may be placed, if it is not the hub's own.
    fn places(&self) -> Option<&str> {
        match self {
            Self::Profile(Profile::Admin) | Self::AsBefore => None,
            Self::Profile(Profile::Namespaced) => Some(NAMESPACED),
            Self::ClusterRole(name) => Some(name),
        }
    }
}

/// Makes the service account, and gives it what was asked for. Who joins again and asks for nothing
/// changes nothing.
pub(super) async fn grant(client: &Client, asked: Option<Rights>) -> Result<Rights> {
    ensure_namespace(client, FLEET_SYSTEM_NAMESPACE).await?;
    let account = ServiceAccount {
        metadata: named(SERVICE_ACCOUNT, Some(FLEET_SYSTEM_NAMESPACE)),
        ..ServiceAccount::default()
    };
    let accounts = Api::namespaced(client.clone(), FLEET_SYSTEM_NAMESPACE);
    apply(&accounts, &account).await.context(MAY)?;

    let roles: Api<ClusterRole> = Api::all(client.clone());
    let is_new = roles.get_opt(SERVICE_ACCOUNT).await.context(MAY)?.is_none();
    let rights = match asked {
        Some(rights) => rights,
        None if is_new => Rights::Profile(Profile::Admin),
        None => return Ok(Rights::AsBefore),
    };
    if let Rights::ClusterRole(name) = &rights {
        let found = roles.get_opt(name).await.context(MAY)?;
        found.with_context(|| format!("the member has no ClusterRole {name}"))?;
    }
    let rules = match rights {
        Rights::Profile(Profile::Admin) => everything(),
        Rights::Profile(Profile::Namespaced) | Rights::ClusterRole(_) | Rights::AsBefore => {
            of_every_member()
        }
    };
    let role = ClusterRole {
        metadata: named(SERVICE_ACCOUNT, None),
        rules: Some(rules),
        ..ClusterRole::default()
    };
    apply(&roles, &role).await.context(MAY)?;
    apply(&Api::all(client.clone()), &cluster_binding(SERVICE_ACCOUNT, SERVICE_ACCOUNT))
        .await
        .context(MAY)?;
    grant_own_namespace(client).await?;
    bind_places(client, rights.places()).await?;
    Ok(rights)
}

/// In its own namespace the hub keeps the mark of the member and renews its token.
async fn grant_own_namespace(client: &Client) -> Result<()> {
    let metadata = || named(SERVICE_ACCOUNT, Some(FLEET_SYSTEM_NAMESPACE));
    let role = Role { metadata: metadata(), rules: Some(of_own_namespace()) };
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: role_ref("Role", SERVICE_ACCOUNT),
        subjects: Some(vec![hub()]),
    };
    apply(&Api::namespaced(client.clone(), FLEET_SYSTEM_NAMESPACE), &role).await.context(MAY)?;
    apply(&Api::namespaced(client.clone(), FLEET_SYSTEM_NAMESPACE), &binding)
        .await
        .map(drop)
        .context(MAY)
}

/// Binds the hub to the role that says what may be placed, and to no other one any more: a binding
/// never changes its role.
async fn bind_places(client: &Client, role: Option<&str>) -> Result<()> {
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let found = bindings.get_opt(PLACES).await.context(MAY)?;
    if let Some(found) = found.filter(|found| Some(found.role_ref.name.as_str()) != role) {
        bindings.delete(&found.name_any(), &DeleteParams::default()).await.context(MAY)?;
    }
    match role {
        Some(role) => apply(&bindings, &cluster_binding(PLACES, role)).await.map(drop).context(MAY),
        None => Ok(()),
    }
}

fn everything() -> Vec<PolicyRule> {
    vec![rule(&["*"], &["*"], &["*"]), urls(&["*"])]
}

/// What the hub needs on every member, whatever is placed there. `docs/operations.md` lists it.
fn of_every_member() -> Vec<PolicyRule> {
    const APPLIED_WORKS: &str = "appliedworks.placement.kubernetes-fleet.io";
    let definition = PolicyRule {
        resource_names: Some(vec![APPLIED_WORKS.to_owned()]),
        ..rule(&["apiextensions.k8s.io"], &["customresourcedefinitions"], &["get", "patch"])
    };
    vec![
        urls(&["/readyz", "/version", "/api", "/api/*", "/apis", "/apis/*"]),
        rule(
            &[""],
            &["namespaces"],
            &["get", "list", "watch", "create", "patch", "update", "delete"],
        ),
        rule(&[""], &["nodes", "pods"], &["get", "list", "watch"]),
        rule(
            &["placement.kubernetes-fleet.io"],
            &["appliedworks", "appliedworks/status", "appliedworks/finalizers"],
            &["get", "list", "watch", "create", "patch", "update", "delete"],
        ),
        definition,
    ]
}

fn of_own_namespace() -> Vec<PolicyRule> {
    let token = PolicyRule {
        resource_names: Some(vec![SERVICE_ACCOUNT.to_owned()]),
        ..rule(&[""], &["serviceaccounts/token"], &["create"])
    };
    let mark = &["get", "create", "patch", "update", "delete"];
    vec![rule(&[""], &["configmaps"], mark), token]
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(groups)),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

fn urls(paths: &[&str]) -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(texts(paths)),
        verbs: texts(&["get"]),
        ..PolicyRule::default()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn named(name: &str, namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    }
}

fn cluster_binding(name: &str, role: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: named(name, None),
        role_ref: role_ref("ClusterRole", role),
        subjects: Some(vec![hub()]),
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn hub() -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: SERVICE_ACCOUNT.to_owned(),
        namespace: Some(FLEET_SYSTEM_NAMESPACE.to_owned()),
        ..Subject::default()
    }
}
