//! What is held because the hub's Kubernetes API lost it, and what people say to that.
//!
//! Placements and MemberClusters carry a finalizer of the hub, so that their absence, when nobody
//! saw them being deleted, is never normal: an etcd was restored from an older copy, or emptied.
//! Members must not be emptied for that. So everything about them stays as it is, on record
//! (`PlacementHeld`, `ClusterHeld`), until the object is there again or a person says that its
//! absence counts.
//!
//! | module | what |
//! |---|---|
//! | [`answers`] | what people said: a ConfigMap in the system namespace |
//! | [`fleet`] | that the hub's etcd went back, on record |
//! | `sweep` | answers that were acted on go |
//! | [`notes`] | what is held, for `/readyz`, `status` and the doctor |
//!
//! **Why a ConfigMap.** The HTTP API has no authentication and only reads, and the object that could
//! carry an annotation is gone. Who may write ConfigMaps in the system namespace may write its
//! Secrets in most clusters, and with those leads members elsewhere: confirming asks for no new right.
//! An answer names a token that stands for exactly what was lost, so that it is void for anything
//! else, however old it is and whichever copy of an etcd it comes from.

mod answers;
mod fleet;
mod notes;
mod sweep;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

pub use answers::{ANSWERS, Answers, CONFIRM};
pub(crate) use fleet::{follow, went_back};
pub(crate) use notes::note;
pub(crate) use sweep::sweep;

/// How many bytes of a digest make a token: as many as nobody guesses or meets twice by chance, and
/// as few as can be typed.
const TOKEN_BYTES: usize = 8;

/// What stands for a loss in an answer.
#[must_use]
pub(crate) fn token<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let mut token = String::new();
    for byte in &digest.finalize()[..TOKEN_BYTES] {
        write!(token, "{byte:02x}").expect("a String");
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_one_loss() {
        let web = token(["placement/cluster/web", "uid-1"]);
        assert_eq!((web.len(), &web), (16, &token(["placement/cluster/web", "uid-1"])));
        assert_ne!(web, token(["placement/cluster/web", "uid-2"]));
        assert_ne!(token(["ab", "c"]), token(["a", "bc"]));
    }
}
