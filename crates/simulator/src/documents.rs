//! What is told of the resources of a cluster, made once for all clusters that serve the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::cluster::route::Route;
use crate::crd::Versions;
use crate::request::Reply;

type Key = Vec<usize>;

/// Documents by the addresses of the compiled CRDs that they tell of.
static SHARED: Mutex<BTreeMap<Key, Weak<Documents>>> = Mutex::new(BTreeMap::new());

/// Answers about one set of resources.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Held, so that no other CRDs come to the same addresses.
    _crds: Vec<Versions>,
    replies: Mutex<BTreeMap<(Route, bool), Reply>>,
}

impl Documents {
    /// Those of the built-in resources and of these CRDs.
    pub(crate) fn of<'a>(crds: impl Iterator<Item = &'a Versions>) -> Arc<Self> {
        let crds: Vec<Versions> = crds.cloned().collect();
        let key: Key = crds.iter().map(|it| Arc::as_ptr(it).cast::<()>().addr()).collect();
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        shared.retain(|_, it| it.strong_count() > 0);
        let documents = Arc::new(Self { _crds: crds, replies: Mutex::default() });
        shared.insert(key, Arc::downgrade(&documents));
        documents
    }

    /// The answer, made when nobody asked before. Failures are not kept: there is no end to
    /// what is not there.
    pub(crate) fn reply(
        &self,
        route: &Route,
        aggregated: bool,
        make: impl FnOnce() -> Reply,
    ) -> Reply {
        let replies = || self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.clone(), aggregated);
        if let Some(known) = replies().get(&key) {
            return known.clone();
        }
        let reply = make();
        if reply.status == 200 {
            replies().insert(key, reply.clone());
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd;

    fn compiled(plural: &str) -> Versions {
        let schema = json!({"openAPIV3Schema": {"type": "object"}});
        crd::compile(&json!({"spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": plural, "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}}))
    }

    #[test]
    fn the_same_crds_are_compiled_and_told_of_once() {
        let (one, again, other) = (compiled("ones"), compiled("ones"), compiled("others"));
        assert!(Arc::ptr_eq(&one, &again));
        let documents = Documents::of([&one].into_iter());
        assert!(Arc::ptr_eq(&documents, &Documents::of([&again].into_iter())));
        for different in [Documents::of([&one, &other].into_iter()), Documents::of([].into_iter())]
        {
            assert!(!Arc::ptr_eq(&documents, &different));
        }
        let made = documents.reply(&Route::Groups, true, || Reply::text(200, "", "made"));
        assert_eq!(documents.reply(&Route::Groups, true, || panic!("made again")).body, made.body);
        documents.reply(&Route::Unknown, true, Reply::no_such_path);
        assert_eq!(documents.replies.lock().unwrap().len(), 1, "what is not there is not kept");
    }
}
