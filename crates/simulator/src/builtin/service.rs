//! Services: what their type lets them have, addresses and ports that are allocated to them, and
//! what of that a change of type takes away. Follows `pkg/registry/core/service` of kube-apiserver.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::Cause;
use crate::names::{reason_bad_dns_label, reason_bad_subdomain};
use crate::object::{Object, child_object, default_field};

/// `--service-node-port-range` of a kube-apiserver that was not told another one.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// The addresses of Services: what the test bed and most installers use.
const ADDRESSES: &str = "10.96.0.0/16";

/// The address of the API server's own Service.
const FIRST_ADDRESS: &str = "10.96.0.1";

/// What is allocated to the Services of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Allocated {
    addresses: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

impl Allocated {
    /// What these Services have.
    pub(crate) fn to<'a>(services: impl Iterator<Item = &'a Value>) -> Self {
        let mut allocated = Self::default();
        for spec in services.map(|it| &it["spec"]) {
            allocated.addresses.extend(spec["clusterIP"].as_str().map(str::to_owned));
            allocated.ports.extend(node_ports(spec));
            allocated.ports.extend(port_number(&spec["healthCheckNodePort"]));
        }
        allocated
    }
}

pub(crate) fn set_defaults(object: &mut Value) {
    let external = is_externally_accessible(object);
    let spec = child_object(object, "spec");
    default_field(spec, "type", "ClusterIP");
    default_field(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == "ClientIP" {
        let config = json!({"clientIP": {"timeoutSeconds": 10800}});
        default_field(spec, "sessionAffinityConfig", config);
    }
    if matches!(spec["type"].as_str(), Some("ClusterIP" | "NodePort" | "LoadBalancer")) {
        default_field(spec, "internalTrafficPolicy", "Cluster");
    }
    if external {
        default_field(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default_field(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in ports_mut(spec) {
        default_field(port, "protocol", "TCP");
        let same = port.get("port").cloned().unwrap_or(Value::Null);
        default_field(port, "targetPort", same);
        if port.get("nodePort") == Some(&json!(0)) {
            port.remove("nodePort");
        }
    }
    default_field(crate::object::as_object_mut(object), "status", json!({"loadBalancer": {}}));
}

/// A replaced Service keeps what was allocated to it, unless it says otherwise.
pub(crate) fn keep_allocated(object: &mut Value, old: &Value) {
    if needs_address(old) && needs_address(object) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            copy_missing(object, old, field);
        }
    }
    if needs_node_ports(old) && needs_node_ports(object) {
        let used: BTreeSet<u16> = node_ports(&old["spec"])
            .filter(|port| node_ports(&object["spec"]).any(|it| it == *port))
            .collect();
        for port in ports_mut(child_object(object, "spec")) {
            let name = port.get("name").cloned().unwrap_or_default();
            let twins = ports(&old["spec"]).filter(|it| it["name"] == name);
            let known = twins.last().map_or(0, |it| port_number(&it["nodePort"]).unwrap_or(0));
            if known != 0 && !port.contains_key("nodePort") && !used.contains(&known) {
                port.insert("nodePort".to_owned(), json!(known));
            }
        }
    }
    if needs_health_port(old) && needs_health_port(object) {
        copy_missing(object, old, "healthCheckNodePort");
    }
}

fn copy_missing(object: &mut Value, old: &Value, field: &str) {
    if let Some(value) = old["spec"].get(field) {
        default_field(child_object(object, "spec"), field, value.clone());
    }
}

/// Takes away what the new type has no use for, if the writer did not change it.
pub(crate) fn drop_useless(object: &mut Value, old: &Value) {
    let same = |object: &Value, field: &str| object["spec"].get(field) == old["spec"].get(field);
    let drop_same = |object: &mut Value, field: &str| {
        if same(object, field) {
            child_object(object, "spec").remove(field);
        }
    };
    if needs_address(old) && !needs_address(object) {
        for field in ["clusterIPs", "clusterIP", "ipFamilies", "ipFamilyPolicy"] {
            drop_same(object, field);
        }
    }
    let same_ports = node_ports(&object["spec"]).eq(node_ports(&old["spec"]));
    if needs_node_ports(old) && !needs_node_ports(object) && same_ports {
        for port in ports_mut(child_object(object, "spec")) {
            port.remove("nodePort");
        }
    }
    if needs_health_port(old) && !needs_health_port(object) {
        drop_same(object, "healthCheckNodePort");
    }
    if old["spec"]["type"] == "LoadBalancer" && object["spec"]["type"] != "LoadBalancer" {
        drop_same(object, "allocateLoadBalancerNodePorts");
        drop_same(object, "loadBalancerClass");
    }
    if is_externally_accessible(old) && !is_externally_accessible(object) {
        drop_same(object, "externalTrafficPolicy");
    }
    if object["spec"]["type"] == "ExternalName" {
        drop_same(object, "internalTrafficPolicy");
    }
    if object["spec"]["type"] != "LoadBalancer" {
        object["status"]["loadBalancer"] = json!({});
    }
}

/// Gives the Service the addresses and ports that its type needs and that it lacks.
pub(crate) fn allocate(
    object: &mut Value,
    old: Option<&Value>,
    mut allocated: Allocated,
    random: &mut impl FnMut() -> u64,
) -> Vec<Cause> {
    let own = Allocated::to(old.into_iter());
    let mut causes = Vec::new();
    if needs_address(object) {
        causes.extend(allocate_address(object, &own, &allocated, random));
    }
    if needs_node_ports(object) || node_ports(&object["spec"]).next().is_some() {
        allocate_node_ports(object, old.is_none(), &own, &mut allocated, random, &mut causes);
    }
    if needs_health_port(object) && object["spec"].get("healthCheckNodePort").is_none() {
        object["spec"]["healthCheckNodePort"] = json!(free_port(&mut allocated, random));
    }
    causes
}

fn allocate_address(
    object: &mut Value,
    own: &Allocated,
    allocated: &Allocated,
    random: &mut impl FnMut() -> u64,
) -> Option<Cause> {
    let no_selector = object["spec"]["selector"].as_object().is_none_or(Object::is_empty);
    let spec = child_object(object, "spec");
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut cause = None;
    if wanted.is_empty() {
        let address = loop {
            let [high, low, ..] = random().to_le_bytes();
            let address = format!("10.96.{high}.{}", low.max(2));
            if address != FIRST_ADDRESS && !allocated.addresses.contains(&address) {
                break address;
            }
        };
        spec.insert("clusterIP".to_owned(), json!(address));
    } else if wanted != "None" && !own.addresses.contains(&wanted) {
        let why = if !wanted.starts_with("10.96.") {
            Some(format!(
                "provided IP is not in the valid range. The range of valid IPs is {ADDRESSES}"
            ))
        } else {
            allocated
                .addresses
                .contains(&wanted)
                .then(|| "provided IP is already allocated".to_owned())
        };
        cause = why.map(|why| {
            let why = format!("failed to allocate IP {wanted}: {why}");
            Cause::invalid("spec.clusterIPs", &json!([wanted]), &why)
        });
    }
    let address = spec["clusterIP"].clone();
    default_field(spec, "clusterIPs", json!([address]));
    if wanted == "None" && no_selector {
        default_field(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
        default_field(spec, "ipFamilyPolicy", "RequireDualStack");
    }
    default_field(spec, "ipFamilies", json!(["IPv4"]));
    default_field(spec, "ipFamilyPolicy", "SingleStack");
    cause
}

/// Ports of a new Service with the same number share a node port, whatever their protocols.
fn allocate_node_ports(
    object: &mut Value,
    is_new: bool,
    own: &Allocated,
    allocated: &mut Allocated,
    random: &mut impl FnMut() -> u64,
    causes: &mut Vec<Cause>,
) {
    let may_allocate = needs_node_ports(object);
    let mut given: Vec<(Value, u16)> = Vec::new();
    for (index, port) in ports_mut(child_object(object, "spec")).enumerate() {
        let number = port.get("port").cloned().unwrap_or_default();
        let shared = given.iter().find(|(it, _)| is_new && *it == number).map(|(_, port)| *port);
        let chosen = match port.get("nodePort").and_then(port_number).or(shared) {
            Some(asked) => {
                let is_asked = !own.ports.contains(&asked) && shared != Some(asked);
                let reason = reason_unavailable(asked, allocated).filter(|_| is_asked);
                let field = format!("spec.ports[{index}].nodePort");
                causes.extend(reason.map(|why| Cause::invalid(&field, &json!(asked), &why)));
                asked
            }
            None if may_allocate => free_port(allocated, random),
            None => continue,
        };
        allocated.ports.insert(chosen);
        port.insert("nodePort".to_owned(), json!(chosen));
        given.push((number, chosen));
    }
}

fn reason_unavailable(port: u16, allocated: &Allocated) -> Option<String> {
    if !NODE_PORTS.contains(&port) {
        let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
        return Some(format!(
            "provided port is not in the valid range. The range of valid ports is {first}-{last}"
        ));
    }
    allocated.ports.contains(&port).then(|| "provided port is already allocated".to_owned())
}

/// A port that nobody has; when all are taken, one that somebody has.
fn free_port(allocated: &mut Allocated, random: &mut impl FnMut() -> u64) -> u16 {
    let count = u64::from(NODE_PORTS.end() - NODE_PORTS.start() + 1);
    let first = u16::try_from(random() % count).unwrap_or(0);
    let (low, high) = NODE_PORTS.into_inner();
    let candidates = (low + first..=high).chain(low..low + first);
    let free = candidates.into_iter().find(|it| !allocated.ports.contains(it)).unwrap_or(low);
    allocated.ports.insert(free);
    free
}

fn needs_address(object: &Value) -> bool {
    matches!(object["spec"]["type"].as_str(), Some("ClusterIP" | "NodePort" | "LoadBalancer"))
}

pub(crate) fn needs_node_ports(object: &Value) -> bool {
    let spec = &object["spec"];
    spec["type"] == "NodePort"
        || (spec["type"] == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false)
}

fn needs_health_port(object: &Value) -> bool {
    let spec = &object["spec"];
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn is_externally_accessible(object: &Value) -> bool {
    let spec = &object["spec"];
    let has_address = spec["externalIPs"].as_array().is_some_and(|it| !it.is_empty());
    matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"))
        || (has_address && matches!(spec["type"].as_str(), Some("ClusterIP") | None))
}

fn ports(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["ports"].as_array().into_iter().flatten()
}

fn ports_mut(spec: &mut Object) -> impl Iterator<Item = &mut Object> {
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    ports.filter_map(Value::as_object_mut)
}

fn node_ports(spec: &Value) -> impl Iterator<Item = u16> {
    ports(spec).filter_map(|it| port_number(&it["nodePort"]))
}

fn port_number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|it| u16::try_from(it).ok()).filter(|it| *it != 0)
}

/// Violations of a Service.
pub(crate) fn check(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let kind = spec["type"].as_str().unwrap_or_default();
    let is_headless = spec["clusterIP"] == "None";
    if ports(spec).next().is_none() && kind != "ExternalName" && !is_headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    if is_headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let why = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!("None"), &why));
    }
    if kind == "ExternalName" {
        check_external_name(spec, causes);
    }
    check_ports(spec, causes);
    let affinity = &spec["sessionAffinity"];
    if affinity != "None" && affinity != "ClientIP" {
        let choices = &["ClientIP", "None"];
        causes.push(Cause::not_supported("spec.sessionAffinity", affinity, choices));
    }
    if !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        let choices = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        causes.push(Cause::not_supported("spec.type", &spec["type"], choices));
    }
    if kind == "ClusterIP" {
        for (index, _) in ports(spec).enumerate().filter(|(_, it)| !it["nodePort"].is_null()) {
            let field = format!("spec.ports[{index}].nodePort");
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(&field, why));
        }
    }
    check_twins(spec, causes);
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if kind != "LoadBalancer" && spec.get(field).is_some() {
            let why = "may only be used when `type` is 'LoadBalancer'";
            causes.push(Cause::forbidden(&format!("spec.{field}"), why));
        }
    }
    let policy = spec.get("externalTrafficPolicy");
    if let Some(policy) = policy.filter(|_| !is_externally_accessible(object)) {
        let why = "may only be set for externally-accessible services";
        causes.push(Cause::invalid("spec.externalTrafficPolicy", policy, why));
    }
}

fn check_external_name(spec: &Value, causes: &mut Vec<Cause>) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.get(field).is_some() {
            let why = "may not be set for ExternalName services";
            causes.push(Cause::forbidden(&format!("spec.{field}"), why));
        }
    }
    let name = spec["externalName"].as_str().unwrap_or_default().trim_end_matches('.');
    if name.is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    } else if let Some(why) = reason_bad_subdomain(name) {
        causes.push(Cause::invalid("spec.externalName", &json!(name), &why));
    }
}

fn check_ports(spec: &Value, causes: &mut Vec<Cause>) {
    let need_names = ports(spec).count() > 1;
    let mut names = BTreeSet::new();
    for (index, port) in ports(spec).enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        match port["name"].as_str().unwrap_or_default() {
            "" if need_names => causes.push(Cause::required(&field("name"), "")),
            "" => {}
            name => {
                if let Some(why) = reason_bad_dns_label(name) {
                    causes.push(Cause::invalid(&field("name"), &json!(name), &why));
                }
                if !names.insert(name) {
                    causes.push(Cause::duplicate(&field("name"), &json!(name)));
                }
            }
        }
        if !(1..=65535).contains(&port["port"].as_i64().unwrap_or(0)) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(&field("port"), &port["port"], why));
        }
        if !matches!(port["protocol"].as_str(), Some("SCTP" | "TCP" | "UDP")) {
            let choices = &["SCTP", "TCP", "UDP"];
            causes.push(Cause::not_supported(&field("protocol"), &port["protocol"], choices));
        }
        if let Some(target) = port["targetPort"].as_i64().filter(|it| !(1..=65535).contains(it)) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(&field("targetPort"), &json!(target), why));
        }
    }
}

/// No two ports with one protocol and number, inside or on the nodes.
fn check_twins(spec: &Value, causes: &mut Vec<Cause>) {
    let seen_before = |index: usize, field: &str| {
        let same = |it: &Value, port: &Value| {
            it["protocol"] == port["protocol"] && it[field] == port[field] && !it[field].is_null()
        };
        ports(spec).nth(index).is_some_and(|port| ports(spec).take(index).any(|it| same(it, port)))
    };
    for (index, port) in ports(spec).enumerate().filter(|(at, _)| seen_before(*at, "nodePort")) {
        let field = format!("spec.ports[{index}].nodePort");
        causes.push(Cause::duplicate(&field, &port["nodePort"]));
    }
    for (index, port) in ports(spec).enumerate().filter(|(at, _)| seen_before(*at, "port")) {
        // Shown as Go shows the struct that it compares.
        let twin = json!({"Name": "", "Protocol": port["protocol"], "AppProtocol": null,
                          "Port": port["port"], "TargetPort": 0, "NodePort": 0});
        let message = format!("Duplicate value: {}", go_struct(&twin));
        causes.push(Cause::new("FieldValueDuplicate", &format!("spec.ports[{index}]"), message));
    }
}

/// The members in the order of the Go struct.
fn go_struct(port: &Value) -> String {
    let members = ["Name", "Protocol", "AppProtocol", "Port", "TargetPort", "NodePort"];
    let members = members.map(|it| format!("{:?}:{}", it, port[it]));
    format!("{{{}}}", members.join(","))
}
