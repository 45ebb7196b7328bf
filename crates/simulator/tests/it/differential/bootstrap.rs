//! The objects that a server makes for itself, before anybody sends it a request.

use serde_json::{Map, Value};
use simulator::Request;

use super::Pair;
use super::compare::{self, Difference};
use super::renaming::Memory;
use super::servers::Server;

/// The kinds that a kube-apiserver makes objects of. Left out: ConfigMaps with certificates, the
/// lease that says which process serves, and namespaces and Services, which no option turns off.
const COLLECTIONS: &[&str] = &[
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    "/apis/networking.k8s.io/v1/servicecidrs",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
];

pub(super) async fn differences(pair: &Pair) -> Vec<Difference> {
    let mut found = Vec::new();
    for collection in COLLECTIONS {
        let real = objects(&pair.real, collection).await;
        let simulated = objects(&pair.simulated, collection).await;
        found.extend(compare::differences(&real, &simulated));
    }
    found
}

/// The objects by name, as far as they do not differ between any two servers.
async fn objects(server: &Server, collection: &str) -> Value {
    let list = server.send(&Request::get(collection)).await.body;
    let mut memory = Memory::default();
    let items = list["items"].as_array().cloned().unwrap_or_default().into_iter();
    let named = items.map(|mut object| {
        let metadata = &object["metadata"];
        let name = format!("{collection}/{}/{}", metadata["namespace"], metadata["name"]);
        for field in ["uid", "resourceVersion", "managedFields"] {
            drop(object["metadata"].as_object_mut().map(|it| it.remove(field)));
        }
        (name, memory.rename(object))
    });
    Value::Object(named.collect::<Map<_, _>>())
}
