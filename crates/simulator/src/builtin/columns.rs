//! The columns that `kubectl get` prints for built-in kinds.

/// One column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    /// 0 is shown always, higher ones with `-o wide`.
    pub(crate) priority: i64,
    pub(crate) cell: Cell,
}

/// Where the value of a column comes from.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Name,
    /// Time since `metadata.creationTimestamp`.
    Age,
    /// A JSONPath in the dialect of CRD printer columns.
    Path(String),
    /// `ready/desired` of two paths.
    Ratio(&'static str, &'static str),
    /// The number of members of the maps or lists at the paths.
    Count(&'static [&'static str]),
    /// Ports of a Service.
    ServicePorts,
    /// External addresses of a Service.
    ExternalIp,
    /// `Ready` or `NotReady` of a Node.
    NodeStatus,
}

impl Column {
    fn new(name: &str, kind: &str, cell: Cell) -> Self {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        Self { name, kind, description: String::new(), priority: 0, cell }
    }

    fn path(name: &str, kind: &str, path: &str) -> Self {
        Self::new(name, kind, Cell::Path(path.to_owned()))
    }
}

/// The columns of a built-in resource; name and age when nothing better is known.
pub(crate) fn columns_of(group: &str, plural: &str) -> Vec<Column> {
    let mut columns = vec![Column::new("Name", "string", Cell::Name)];
    columns.extend(middle_columns(group, plural));
    if group != "apiextensions.k8s.io" {
        columns.push(Column::new("Age", "string", Cell::Age));
    }
    columns
}

fn middle_columns(group: &str, plural: &str) -> Vec<Column> {
    let text = |name: &str, path: &str| Column::path(name, "string", path);
    let number = |name: &str, path: &str| Column::path(name, "integer", path);
    let ratio = |name: &str, ready, wanted| Column::new(name, "string", Cell::Ratio(ready, wanted));
    match (group, plural) {
        ("", "namespaces") | ("", "persistentvolumes") => vec![text("Status", ".status.phase")],
        ("", "configmaps") => {
            vec![Column::new("Data", "integer", Cell::Count(&["data", "binaryData"]))]
        }
        ("", "secrets") => {
            vec![text("Type", ".type"), Column::new("Data", "integer", Cell::Count(&["data"]))]
        }
        ("", "services") => vec![
            text("Type", ".spec.type"),
            text("Cluster-IP", ".spec.clusterIP"),
            Column::new("External-IP", "string", Cell::ExternalIp),
            Column::new("Port(s)", "string", Cell::ServicePorts),
        ],
        ("", "nodes") => vec![
            Column::new("Status", "string", Cell::NodeStatus),
            text("Version", ".status.nodeInfo.kubeletVersion"),
        ],
        ("", "pods") => vec![text("Status", ".status.phase")],
        ("", "events") => vec![
            text("Type", ".type"),
            text("Reason", ".reason"),
            text("Object", ".involvedObject.name"),
            text("Message", ".message"),
        ],
        ("", "persistentvolumeclaims") => vec![
            text("Status", ".status.phase"),
            text("Volume", ".spec.volumeName"),
            text("Capacity", ".status.capacity.storage"),
        ],
        ("apps", "deployments") => vec![
            ratio("Ready", ".status.readyReplicas", ".spec.replicas"),
            number("Up-to-date", ".status.updatedReplicas"),
            number("Available", ".status.availableReplicas"),
        ],
        ("apps", "statefulsets") => {
            vec![ratio("Ready", ".status.readyReplicas", ".spec.replicas")]
        }
        ("apps", "daemonsets") => vec![
            number("Desired", ".status.desiredNumberScheduled"),
            number("Current", ".status.currentNumberScheduled"),
            number("Ready", ".status.numberReady"),
            number("Up-to-date", ".status.updatedNumberScheduled"),
            number("Available", ".status.numberAvailable"),
        ],
        ("apps", "replicasets") => vec![
            number("Desired", ".spec.replicas"),
            number("Current", ".status.replicas"),
            number("Ready", ".status.readyReplicas"),
        ],
        ("batch", "jobs") => vec![
            text("Status", ".status.conditions[?(@.type==\"Complete\")].type"),
            ratio("Completions", ".status.succeeded", ".spec.completions"),
        ],
        ("batch", "cronjobs") => vec![text("Schedule", ".spec.schedule")],
        ("coordination.k8s.io", "leases") => vec![text("Holder", ".spec.holderIdentity")],
        ("networking.k8s.io", "ingresses") => {
            vec![text("Class", ".spec.ingressClassName"), text("Hosts", ".spec.rules[*].host")]
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            vec![text("Role", ".roleRef.name")]
        }
        ("apiextensions.k8s.io", _) => vec![text("Created At", ".metadata.creationTimestamp")],
        ("apiregistration.k8s.io", _) => vec![
            text("Service", ".spec.service.name"),
            text("Available", ".status.conditions[?(@.type==\"Available\")].status"),
        ],
        ("storage.k8s.io", "storageclasses") => vec![text("Provisioner", ".provisioner")],
        ("scheduling.k8s.io", _) => vec![number("Value", ".value")],
        _ => Vec::new(),
    }
}

/// The columns that every table has.
pub(crate) fn name_and_age() -> (Column, Column) {
    (Column::new("Name", "string", Cell::Name), Column::new("Age", "date", Cell::Age))
}

/// An entry of `additionalPrinterColumns`.
pub(crate) fn column_from_crd(declared: &serde_json::Value) -> Column {
    let text = |key: &str| declared[key].as_str().unwrap_or_default().to_owned();
    Column {
        name: text("name"),
        kind: text("type"),
        description: text("description"),
        priority: declared["priority"].as_i64().unwrap_or(0),
        cell: Cell::Path(text("jsonPath")),
    }
}
