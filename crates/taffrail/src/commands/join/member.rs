//! The member's side of joining: who the hub is there, and with what credential.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use api::names::FLEET_SYSTEM_NAMESPACE;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{
    AuthInfo, Cluster, Context as NamedContextBody, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use kube::{Api, Client};

use super::Args;
use super::rights::{self, Rights, SERVICE_ACCOUNT};
use crate::kubeconfig;
use crate::usage::Usage;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// What to do about a kubeconfig that is of no use.
const OTHER_KUBECONFIG: &str =
    "name the kubeconfig with which you administrate the member: --member-kubeconfig FILE";

/// What to do about a context that is of no use.
const OTHER_CONTEXT: &str =
    "name one with --member-context; see them with: kubectl config get-contexts --kubeconfig FILE";

/// The administrator's way into the member.
pub(super) struct MemberAccess {
    file: PathBuf,
    kubeconfig: Kubeconfig,
    cluster: Cluster,
    user: AuthInfo,
    context: String,
}

/// What the hub gets.
pub(super) struct Credential {
    /// A kubeconfig that stands for itself.
    pub(super) kubeconfig: String,
    /// Whether it is a token of its own, rather than the administrator's credential.
    pub(super) is_bounded: bool,
    /// When the token expires.
    pub(super) expires: Option<String>,
    /// What it is good for.
    pub(super) rights: Rights,
}

impl MemberAccess {
    pub(super) fn read(path: &Path, context: Option<&str>) -> Result<Self> {
        let kubeconfig = kubeconfig::read(path, OTHER_KUBECONFIG)?;
        let shown = path.display();
        let context = context
            .map(str::to_owned)
            .or_else(|| kubeconfig.current_context.clone())
            .ok_or_else(|| Usage::new(format!("{shown} has no current context"), OTHER_CONTEXT))?;
        let named = kubeconfig.contexts.iter().find(|named| named.name == context);
        let body = named.and_then(|named| named.context.clone()).ok_or_else(|| {
            Usage::new(format!("{shown} has no context {context}"), OTHER_CONTEXT)
        })?;
        let clusters = kubeconfig.clusters.iter();
        let cluster = clusters
            .filter(|named| named.name == body.cluster)
            .find_map(|named| named.cluster.clone())
            .ok_or_else(|| {
                let what = format!(
                    "{shown} has no cluster {}, which its context {context} names",
                    body.cluster
                );
                Usage::new(what, OTHER_CONTEXT)
            })?;
        let user = body.user.as_deref().unwrap_or_default();
        let users = kubeconfig.auth_infos.iter();
        let user = users
            .filter(|named| named.name == user)
            .find_map(|named| named.auth_info.clone())
            .unwrap_or_default();
        Ok(Self { file: path.to_owned(), cluster, user, context, kubeconfig })
    }

    pub(super) async fn connect(&self) -> Result<Client> {
        let config = kubeconfig::config(
            self.kubeconfig.clone(),
            Some(&self.context),
            &self.file,
            OTHER_KUBECONFIG,
        );
        let config = config.await?;
        Client::try_from(config).context("the member cannot be talked to")
    }

    /// A credential of the hub's own; the administrator's where the member gives out no tokens.
    pub(super) async fn credential(&self, client: &Client, args: &Args) -> Result<Credential> {
        let cluster = self.self_contained_cluster(args.member_server.as_deref())?;
        let rights = rights::grant(client, Rights::asked(args)).await?;
        if let Some((token, expires)) = token(client, args.token_days).await? {
            let user = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
            let kubeconfig = kubeconfig(cluster, user)?;
            return Ok(Credential { kubeconfig, is_bounded: true, expires, rights });
        }
        let kubeconfig = kubeconfig(cluster, self.self_contained_user()?)?;
        Ok(Credential { kubeconfig, is_bounded: false, expires: None, rights })
    }

    /// The cluster without references to files of this machine.
    fn self_contained_cluster(&self, server: Option<&str>) -> Result<Cluster> {
        let mut cluster = self.cluster.clone();
        if let Some(server) = server {
            cluster.server = Some(server.to_owned());
        }
        let file = cluster.certificate_authority.take();
        let data = cluster.certificate_authority_data.take();
        cluster.certificate_authority_data = inlined(data, file)?;
        Ok(Cluster { extensions: None, ..cluster })
    }

    fn self_contained_user(&self) -> Result<AuthInfo> {
        let mut user = self.user.clone();
        if user.exec.is_some() || user.auth_provider.is_some() {
            bail!(
                "the member gives out no tokens, and its kubeconfig runs a program for each \
                 credential, which the hub cannot; pass a kubeconfig with a token or certificate"
            );
        }
        let (file, data) = (user.client_certificate.take(), user.client_certificate_data.take());
        user.client_certificate_data = inlined(data, file)?;
        if let Some(file) = user.client_key.take() {
            user.client_key_data = user.client_key_data.take().map_or_else(
                || Ok::<_, anyhow::Error>(inlined(None, Some(file))?.map(Into::into)),
                |data| Ok(Some(data)),
            )?;
        }
        if let Some(file) = user.token_file.take() {
            let token = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read the token in {file}"))?;
            user.token = Some(token.trim().to_owned().into());
        }
        Ok(AuthInfo { extensions: None, ..user })
    }
}

/// Data in base64, read from a file if need be.
fn inlined(data: Option<String>, file: Option<String>) -> Result<Option<String>> {
    match (data, file) {
        (Some(data), _) => Ok(Some(data)),
        (None, Some(file)) => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {file}"))?;
            Ok(Some(BASE64_STANDARD.encode(bytes)))
        }
        (None, None) => Ok(None),
    }
}

/// A token for the hub, and when it expires. `None` where the member gives out none.
async fn token(client: &Client, days: u16) -> Result<Option<(String, Option<String>)>> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), FLEET_SYSTEM_NAMESPACE);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(i64::from(days) * SECONDS_PER_DAY),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer: Result<TokenRequest, _> =
        accounts.create_subresource("token", SERVICE_ACCOUNT, &params, &request).await;
    match answer {
        Ok(answer) => Ok(answer.status.and_then(|status| {
            let expires = status.expiration_timestamp.map(|at| at.0.to_string());
            Some((status.token.filter(|token| !token.is_empty())?, expires))
        })),
        // It does not know the subresource.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405 | 501) => Ok(None),
        Err(error) => Err(error).context("the member gives out no token for the hub"),
    }
}

fn kubeconfig(cluster: Cluster, user: AuthInfo) -> Result<String> {
    const NAME: &str = "member";
    let context = NamedContextBody {
        cluster: NAME.to_owned(),
        user: Some(NAME.to_owned()),
        ..NamedContextBody::default()
    };
    let kubeconfig = Kubeconfig {
        kind: Some("Config".to_owned()),
        api_version: Some("v1".to_owned()),
        clusters: vec![NamedCluster {
            name: NAME.to_owned(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.to_owned(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.to_owned(),
            context: Some(context),
            ..NamedContext::default()
        }],
        current_context: Some(NAME.to_owned()),
        ..Kubeconfig::default()
    };
    serde_yaml_ng::to_string(&kubeconfig).context("the kubeconfig cannot be written")
}
