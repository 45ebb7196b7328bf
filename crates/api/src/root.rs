//! How one custom resource kind is declared.
//!
//! kube's `CustomResource` derive makes one kind from one spec struct. This API shares most specs
//! between a cluster-scoped kind and its namespaced twin, and has kinds whose fields sit beside
//! `metadata` instead of under `spec`. So the root structs come from [`kind!`], which implements
//! the same [`kube::Resource`] trait and leaves the fields to the caller.

use serde::Serialize;

/// The group of the kinds that describe member clusters.
pub const CLUSTER_GROUP: &str = "cluster.kubernetes-fleet.io";
/// The group of the kinds that say what goes where.
pub const PLACEMENT_GROUP: &str = "placement.kubernetes-fleet.io";
/// The version that is stored, and the one that the Rust types of this crate describe.
pub const STORAGE_VERSION: &str = "v1beta1";

/// Tells whether a value equals its default, for fields that are left out of the YAML then.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The two fields that name the type of an object, which the Rust types carry in their type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeMeta<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> TypeMeta<'a> {
    pub(crate) fn new(api_version: &'a str, kind: &'a str) -> Self {
        Self { api_version, kind }
    }
}

/// Declares the root struct of one kind: its documentation, its identity and its fields.
///
/// The struct gets `metadata`, serde that writes `apiVersion` and `kind`, a schema without those
/// three (the generator of the CRDs adds them) and [`kube::Resource`].
macro_rules! kind {
    (
        $(#[$doc:meta])*
        $name:ident, $group:expr, $plural:literal, $scope:ident {
            $( $(#[$attr:meta])* $field:ident : $ty:ty, )*
        }
    ) => {
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        $(#[$doc])*
        pub struct $name {
            /// Name, namespace, labels, annotations and the rest of the standard metadata.
            #[schemars(skip)]
            pub metadata: kube::core::ObjectMeta,
            $( $(#[$attr])* pub $field: $ty, )*
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[derive(serde::Serialize)]
                #[serde(rename_all = "camelCase")]
                struct Wire<'a> {
                    #[serde(flatten)]
                    type_meta: $crate::root::TypeMeta<'a>,
                    metadata: &'a kube::core::ObjectMeta,
                    $( $(#[$attr])* $field: &'a $ty, )*
                }
                let api_version = <Self as kube::Resource>::api_version(&());
                Wire {
                    type_meta: $crate::root::TypeMeta::new(&api_version, stringify!($name)),
                    metadata: &self.metadata,
                    $( $field: &self.$field, )*
                }
                .serialize(serializer)
            }
        }

        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = $crate::root::$scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                stringify!($name).into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $crate::root::STORAGE_VERSION.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &kube::core::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut kube::core::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// Declares a kind with a required `spec` and an optional `status`, or with a `spec` alone.
macro_rules! spec_kind {
    ($(#[$doc:meta])* $name:ident, $group:expr, $plural:literal, $scope:ident, $spec:ty, $status:ty) => {
        $crate::root::kind! {
            $(#[$doc])*
            $name, $group, $plural, $scope {
                /// What the user asks for.
                spec: $spec,
                /// What has been observed; written by controllers only.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                status: Option<$status>,
            }
        }

        impl $name {
            /// An object with this name and spec, and no status yet.
            #[must_use]
            pub fn new(name: &str, spec: $spec) -> Self {
                Self { metadata: $crate::root::named(name), spec, status: None }
            }
        }

        $crate::root::has_spec!($name, $spec);

        impl kube::core::object::HasStatus for $name {
            type Status = $status;

            fn status(&self) -> Option<&$status> {
                self.status.as_ref()
            }
            fn status_mut(&mut self) -> &mut Option<$status> {
                &mut self.status
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $group:expr, $plural:literal, $scope:ident, $spec:ty) => {
        $crate::root::kind! {
            $(#[$doc])*
            $name, $group, $plural, $scope {
                /// What the user asks for.
                spec: $spec,
            }
        }

        impl $name {
            /// An object with this name and spec.
            #[must_use]
            pub fn new(name: &str, spec: $spec) -> Self {
                Self { metadata: $crate::root::named(name), spec }
            }
        }

        $crate::root::has_spec!($name, $spec);
    };
}

/// Implements kube's access to the spec.
macro_rules! has_spec {
    ($name:ident, $spec:ty) => {
        impl kube::core::object::HasSpec for $name {
            type Spec = $spec;

            fn spec(&self) -> &$spec {
                &self.spec
            }
            fn spec_mut(&mut self) -> &mut $spec {
                &mut self.spec
            }
        }
    };
}

pub(crate) use {has_spec, kind, spec_kind};

pub(crate) use k8s_openapi::{
    ClusterResourceScope as Cluster, NamespaceResourceScope as Namespaced,
};

/// Metadata with nothing but a name.
pub(crate) fn named(name: &str) -> kube::core::ObjectMeta {
    kube::core::ObjectMeta { name: Some(name.to_owned()), ..Default::default() }
}
