//! From a path to what it addresses.

use crate::names::decode_path_segment;

/// What a path addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    Version,
    Healthy,
    CoreVersions,
    Groups,
    Group(String),
    Resources { group: String, version: String },
    OpenApiV2,
    OpenApiIndex,
    OpenApi { group: String, version: String },
    Resource(Target),
    Unknown,
}

/// A collection or an object of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for cluster-scoped resources and for lists over all namespaces.
    pub(crate) namespace: String,
    pub(crate) plural: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

pub(crate) fn route(path: &str) -> Route {
    let segments: Vec<String> =
        path.split('/').filter(|it| !it.is_empty()).map(decode_path_segment).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["version"] => Route::Version,
        ["healthz" | "readyz" | "livez", ..] => Route::Healthy,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version] => resources("", version),
        ["apis", group, version] => resources(group, version),
        ["openapi", "v2"] => Route::OpenApiV2,
        ["openapi", "v3"] => Route::OpenApiIndex,
        ["openapi", "v3", "api", version] => open_api("", version),
        ["openapi", "v3", "apis", group, version] => open_api(group, version),
        ["api", version, rest @ ..] => target("", version, rest),
        ["apis", group, version, rest @ ..] => target(group, version, rest),
        _ => Route::Unknown,
    }
}

fn resources(group: &str, version: &str) -> Route {
    Route::Resources { group: group.to_owned(), version: version.to_owned() }
}

fn open_api(group: &str, version: &str) -> Route {
    Route::OpenApi { group: group.to_owned(), version: version.to_owned() }
}

fn target(group: &str, version: &str, rest: &[&str]) -> Route {
    let is_own_subresource = |it: &str| it == "status" || it == "finalize";
    let (namespace, rest) = match rest {
        ["namespaces", name, sub] if group.is_empty() && is_own_subresource(sub) => {
            return resource(group, version, "", &["namespaces", name, sub]);
        }
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    resource(group, version, namespace, rest)
}

fn resource(group: &str, version: &str, namespace: &str, rest: &[&str]) -> Route {
    let part = |at: usize| rest.get(at).map(|&it| it.to_owned()).unwrap_or_default();
    if rest.len() > 3 {
        return Route::Unknown;
    }
    Route::Resource(Target {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        plural: part(0),
        name: part(1),
        subresource: part(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> (String, String, String, String) {
        let Route::Resource(it) = route(path) else { panic!("{path} is no resource") };
        (it.namespace, it.plural, it.name, it.subresource)
    }

    #[test]
    fn namespaces_are_a_resource_and_a_scope() {
        let owned = |a: [&str; 4]| {
            let [a, b, c, d] = a.map(str::to_owned);
            (a, b, c, d)
        };
        assert_eq!(parts("/api/v1/namespaces"), owned(["", "namespaces", "", ""]));
        assert_eq!(parts("/api/v1/namespaces/a"), owned(["", "namespaces", "a", ""]));
        assert_eq!(parts("/api/v1/namespaces/a/status"), owned(["", "namespaces", "a", "status"]));
        assert_eq!(parts("/api/v1/namespaces/a/pods"), owned(["a", "pods", "", ""]));
        let scale = "/apis/apps/v1/namespaces/a/deployments/d/scale";
        assert_eq!(parts(scale), owned(["a", "deployments", "d", "scale"]));
        assert_eq!(route("/nope"), Route::Unknown);
    }
}
