//! Whose a member is: before it joins, it is marked as ours, and one that is another deployment's
//! is left alone.

use actors::concerns::Gravity;
use delivery::{Link, LinkError, MarkSeen, Marked, MemberMark, Probe};
use events::cluster::LinkProblem;

use crate::links::NoLink;

/// Who we are to members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ourselves {
    /// The deployment.
    pub deployment: String,
    /// The hub cluster: the uid of its kube-system namespace.
    pub hub: String,
}

/// What is known of whose a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Belonging {
    /// Ours, or nobody's that we could mark.
    Ours {
        /// The deployment that it was taken over from.
        taken_from: Option<String>,
        /// Why that is not certain.
        doubt: Option<String>,
    },
    /// Another deployment's, or perhaps.
    NotOurs(NoLink),
    /// Somebody has marked it at this moment.
    AskAgain,
}

impl Ourselves {
    fn mark(&self, name: &str) -> MemberMark {
        MemberMark {
            deployment: self.deployment.clone(),
            hub: self.hub.clone(),
            name: name.to_owned(),
            from_deployment: None,
        }
    }

    /// Whose the cluster is that a probe has seen; marks it as ours if it is nobody's and `may_mark`.
    pub(super) async fn belonging(
        &self,
        name: &str,
        link: &dyn Link,
        probe: &Probe,
        may_mark: bool,
    ) -> Result<Belonging, LinkError> {
        match &probe.mark {
            MarkSeen::Found(mark) if mark.deployment == self.deployment => {
                let taken_from = mark.from_deployment.clone();
                Ok(Belonging::Ours { taken_from, doubt: None })
            }
            MarkSeen::Found(mark) => Ok(Belonging::NotOurs(theirs(name, mark))),
            MarkSeen::Unclear(what) => Ok(Belonging::NotOurs(unclear(name, what))),
            MarkSeen::Forbidden => Ok(ours_perhaps(name)),
            MarkSeen::Absent if !may_mark => Ok(Belonging::Ours { taken_from: None, doubt: None }),
            MarkSeen::Absent => Ok(match link.mark(&probe.identity, &self.mark(name)).await? {
                Marked::Done => Belonging::Ours { taken_from: None, doubt: None },
                Marked::Raced => Belonging::AskAgain,
                Marked::Forbidden => ours_perhaps(name),
            }),
        }
    }
}

/// A warning about a member that cannot be marked, or that it is over.
pub(super) fn doubted(concerns: &actors::concerns::Concerns, name: &str, doubt: Option<String>) {
    concerns.set("member-mark", name, Gravity::Warning, doubt);
}

fn theirs(name: &str, mark: &MemberMark) -> NoLink {
    let MemberMark { deployment, hub, name: their_name, .. } = mark;
    NoLink {
        problem: LinkProblem::OtherDeployment(deployment.clone()),
        message: format!(
            "the cluster belongs to deployment {deployment}, as the member {their_name} of the hub \
             cluster {hub}; let it leave there (taffrail leave {their_name}), or hand it over with: \
             taffrail join {name} --replace --member-kubeconfig FILE"
        ),
    }
}

fn unclear(name: &str, what: &str) -> NoLink {
    NoLink {
        problem: LinkProblem::OtherDeployment(String::new()),
        message: format!(
            "the ConfigMap {}/{} on the member does not say whose it is ({what}); say it with: \
             taffrail join {name} --replace --member-kubeconfig FILE",
            delivery::mark::MARK_NAMESPACE,
            delivery::mark::MEMBER_MARK,
        ),
    }
}

fn ours_perhaps(name: &str) -> Belonging {
    let doubt = format!(
        "whether another deployment manages it is not known: the credential of the link may not \
         read and make the ConfigMap {}/{} there; give it new rights with: taffrail join {name} \
         --member-kubeconfig FILE",
        delivery::mark::MARK_NAMESPACE,
        delivery::mark::MEMBER_MARK,
    );
    Belonging::Ours { taken_from: None, doubt: Some(doubt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_member_is_and_how_to_take_it_over_is_told() {
        let mark = MemberMark {
            deployment: "theirs".to_owned(),
            hub: "their-hub".to_owned(),
            name: "west".to_owned(),
            from_deployment: None,
        };
        let NoLink { problem, message } = super::theirs("eu-1", &mark);
        assert_eq!(problem, LinkProblem::OtherDeployment("theirs".to_owned()));
        for named in ["theirs", "west", "their-hub", "taffrail join eu-1 --replace"] {
            assert!(message.contains(named), "{named}: {message}");
        }
    }
}
