//! Everything that a cluster holds: every object of every kind that can be listed, with its uid.
//! Two looks at one cluster show what was done to it in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use kube::core::discovery::v2::APIResourceDiscovery;
use serde_json::Value;

/// How many kinds are listed at once.
const LISTS_AT_ONCE: usize = 16;

/// What comes, goes and changes by itself, so that a difference says nothing.
const KINDS_THAT_MOVE: [(&str, &str); 5] = [
    // What happened, kept for an hour.
    ("", "Event"),
    ("events.k8s.io", "Event"),
    // Heartbeats of nodes and API servers.
    ("coordination.k8s.io", "Lease"),
    // A view of the other components, made for each answer.
    ("", "ComponentStatus"),
    // Which API server answers for what, with a heartbeat.
    ("internal.apiserver.k8s.io", "StorageVersion"),
];

/// What servers and controllers write into every object: its version counts with each heartbeat.
/// Everything else stays, the generation as well: it counts what people change.
const FIELDS_THAT_MOVE: [&str; 3] =
    ["/metadata/managedFields", "/metadata/resourceVersion", "/status"];

/// How a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    group: String,
    version: String,
    kind: String,
    plural: String,
    is_namespaced: bool,
    can_be_listed: bool,
}

impl Resource {
    fn at((group, version): &(&str, String), served: APIResourceDiscovery) -> Option<Self> {
        Some(Self {
            group: (*group).to_owned(),
            version: version.clone(),
            kind: served.response_kind?.kind?,
            plural: served.resource?,
            is_namespaced: served.scope.as_deref() == Some("Namespaced"),
            can_be_listed: served.verbs.iter().any(|verb| verb == "list"),
        })
    }

    /// The path of an object, or of all when it has no name.
    fn path(&self, namespace: &str, name: &str) -> String {
        let Self { group, version, plural, .. } = self;
        let mut path = match group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        if self.is_namespaced && !namespace.is_empty() {
            path += &format!("/namespaces/{namespace}");
        }
        path += &format!("/{plural}");
        if !name.is_empty() {
            path += &format!("/{name}");
        }
        path
    }
}

/// The kinds that a cluster serves, each in the version that its group prefers.
#[derive(Debug)]
pub struct Kinds(Vec<Resource>);

impl Kinds {
    /// Asks for them. Of an aggregated API that does not answer nothing is known.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn of(client: &Client) -> Result<Self, kube::Error> {
        let mut groups = client.list_core_api_versions_aggregated().await?.items;
        groups.extend(client.list_api_groups_aggregated().await?.items);
        let mut kinds = vec![];
        for group in groups {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            let mut seen = BTreeSet::new();
            // Versions come in the order in which the group prefers them.
            for version in group.versions {
                let at = (name.as_str(), version.version.unwrap_or_default());
                let served = version.resources.into_iter().filter_map(|one| Resource::at(&at, one));
                kinds.extend(served.filter(|one| seen.insert(one.kind.clone())));
            }
        }
        Ok(Self(kinds))
    }

    /// The path of an object, if its kind is served.
    #[must_use]
    pub fn path_of(&self, object: &ObjectKey) -> Option<String> {
        let mut all = self.0.iter();
        let resource = all.find(|one| (&one.group, &one.kind) == (&object.group, &object.kind))?;
        Some(resource.path(&object.namespace, &object.name))
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The group of its kind; empty for the core group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty when it is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// Which object a manifest is about.
    ///
    /// # Panics
    /// It does not say.
    #[must_use]
    pub fn of(manifest: &Value) -> Self {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let api_version = text("/apiVersion").expect("an object has an apiVersion");
        Self {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text("/kind").expect("an object has a kind").to_owned(),
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: text("/metadata/name").expect("an object has a name").to_owned(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, kind, namespace, name } = self;
        write!(f, "{kind}.{group} {namespace}/{name}")
    }
}

/// All objects of a cluster, without what moves by itself.
#[derive(Debug, PartialEq)]
pub struct Inventory(BTreeMap<ObjectKey, Value>);

impl Inventory {
    /// Lists everything.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn of(client: &Client) -> Result<Self, kube::Error> {
        let kinds = Kinds::of(client).await?;
        let moves =
            |one: &Resource| KINDS_THAT_MOVE.contains(&(one.group.as_str(), one.kind.as_str()));
        let listed = kinds.0.iter().filter(|one| one.can_be_listed && !moves(one));
        let lists = futures::stream::iter(listed.cloned()).map(|resource| async move {
            let path = resource.path("", "");
            let request = http::Request::get(&path).body(vec![]).expect("a valid request");
            let list = match client.request::<Value>(request).await {
                Ok(list) => list,
                // The kind went meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => Value::Null,
                Err(error) => return Err(error),
            };
            let items = list["items"].as_array().cloned().unwrap_or_default();
            Ok(items.into_iter().map(move |object| as_kept(&resource, object)).collect::<Vec<_>>())
        });
        let lists: Vec<Vec<(ObjectKey, Value)>> =
            lists.buffer_unordered(LISTS_AT_ONCE).try_collect().await?;
        Ok(Self(lists.into_iter().flatten().collect()))
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, group: &str, kind: &str) -> usize {
        self.0.keys().filter(|key| (key.group.as_str(), key.kind.as_str()) == (group, kind)).count()
    }

    /// What is there now, was there before, or is another: one line for each object.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let keys: BTreeSet<&ObjectKey> = self.0.keys().chain(now.0.keys()).collect();
        let differs = keys.into_iter().filter_map(|key| match (self.0.get(key), now.0.get(key)) {
            (Some(_), None) => Some(format!("{key} is gone")),
            (None, Some(object)) => Some(format!("{key} is new: {object}")),
            (Some(before), Some(now)) if before != now => {
                Some(format!("{key} was {before} and is {now}"))
            }
            (Some(_), Some(_)) | (None, None) => None,
        });
        differs.collect()
    }
}

/// An object of a list, without what moves by itself.
fn as_kept(resource: &Resource, mut object: Value) -> (ObjectKey, Value) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let key = ObjectKey {
        group: resource.group.clone(),
        kind: resource.kind.clone(),
        namespace: text("namespace"),
        name: text("name"),
    };
    for path in FIELDS_THAT_MOVE {
        let (parent, field) = path.rsplit_once('/').expect("a path has a field");
        if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(field);
        }
    }
    (key, object)
}
