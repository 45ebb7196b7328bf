//! From the selectors of a placement to the objects that it places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::placement::{
    LabelOperator, LabelRequirement, LabelSelector, ResourceSelector, SelectionScope,
};
use events::{ObjectId, PlacementScope};

use super::kinds::is_envelope;
use super::{
    Controller, GroupVersionKind, HubObject, KindRules, NamespaceRules, SelectionNote,
    SelectionProblem, SkipReason, install_order, reason_skipped,
};

/// How many terms a placement may have: the bound of the public API.
pub const SELECTORS_PER_PLACEMENT_MAX: usize = 100;

/// How many objects a placement may select. Its status lists all of them, and an object on the hub
/// may have 1.5 MB: 5,000 entries of 150 bytes (250 with long names) fit, twice as many do not.
pub const OBJECTS_PER_PLACEMENT_MAX: usize = 5_000;

/// How many bytes of canonical JSON a placed object may have. A member stores 1.5 MB at most, of
/// which its API server and the delivery need some for managed fields and annotations; an object
/// of twice the size cannot even be stored on the hub.
pub const OBJECT_BYTES_MAX: usize = 1_400_000;

/// What the hub knows about kinds and objects. All answers come from one moment.
pub trait Catalogue {
    /// A kind that the hub's API server serves, if it does.
    fn kind(&self, kind: &GroupVersionKind) -> Option<KindInfo>;

    /// Group and version of each version in which the hub's API server serves a kind.
    fn versions(&self, group: &str, kind: &str) -> Vec<String>;

    /// Every kind whose objects live in namespaces, each in one version.
    fn namespaced_kinds(&self) -> Vec<GroupVersionKind>;

    /// One object; `namespace` is `None` for kinds that live outside of namespaces.
    fn object(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<HubObject>>;

    /// The objects of a kind whose labels match, all of them without a selector; `namespace` is
    /// `None` for kinds that live outside of namespaces. Labels match as in
    /// [`label_selector_matches`](crate::scheduler::label_selector_matches).
    fn objects(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        labels: Option<&LabelSelector>,
    ) -> Vec<Arc<HubObject>>;
}

/// What is known of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What may be selected: the configuration of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectionRules {
    /// Which kinds.
    pub kinds: KindRules,
    /// In which namespaces.
    pub namespaces: NamespaceRules,
    /// Whether workloads run on the hub itself, which then has claims of its own.
    pub hub_runs_workloads: bool,
    /// How much.
    pub limits: Limits,
}

/// How much one placement may select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many objects; [`OBJECTS_PER_PLACEMENT_MAX`] by default.
    pub objects: usize,
    /// How many bytes each; [`OBJECT_BYTES_MAX`] by default.
    pub object_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { objects: OBJECTS_PER_PLACEMENT_MAX, object_bytes: OBJECT_BYTES_MAX }
    }
}

/// What a placement takes along.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The objects, in the order in which they can be installed.
    pub objects: Vec<Arc<HubObject>>,
    /// What is left out although somebody may have meant it.
    pub notes: Vec<SelectionNote>,
}

/// The objects that a placement takes along.
///
/// Terms are ORed. A term that names something that does not exist selects nothing: the object is
/// picked up once it is there. Namespaces chosen by labels, and objects chosen together, leave out
/// what is never placed; what is asked for by name and must not be placed is a problem.
///
/// # Errors
/// What is wrong with the selectors, in words for the person who wrote them.
pub fn resolve(
    scope: &PlacementScope,
    selectors: &[ResourceSelector],
    catalogue: &dyn Catalogue,
    rules: &SelectionRules,
) -> Result<Resolved, SelectionProblem> {
    if selectors.len() > SELECTORS_PER_PLACEMENT_MAX {
        let (count, max) = (selectors.len(), SELECTORS_PER_PLACEMENT_MAX);
        return Err(SelectionProblem::TooManySelectors { count, max });
    }
    let terms: Vec<Term<'_>> =
        (1..).zip(selectors).map(|(number, s)| Term::new(number, s)).collect();
    let home = home_namespace(scope, &terms)?;
    if let Some(namespace) = home {
        check_namespace(scope, namespace, &terms, rules)?;
    }

    let mut selection = Selection::new(catalogue, rules);
    for term in &terms {
        let info = check(term, scope, home, catalogue, rules)?;
        if info.namespaced {
            if selection.has_home(scope, home) {
                selection.take_matching(term, home)?;
            }
        } else if term.is_namespace() && term.selector.scope != SelectionScope::NamespaceOnly {
            selection.take_namespaces(term)?;
        } else {
            selection.take_matching(term, None)?;
        }
    }
    selection.finish()
}

/// A selector and its number, counted from 1.
struct Term<'a> {
    number: usize,
    selector: &'a ResourceSelector,
    kind: GroupVersionKind,
}

impl<'a> Term<'a> {
    fn new(number: usize, selector: &'a ResourceSelector) -> Self {
        let ResourceSelector { group, version, kind, .. } = selector;
        Self { number, selector, kind: GroupVersionKind::new(group, version, kind) }
    }

    fn is_namespace(&self) -> bool {
        self.kind.is("", "Namespace")
    }

    /// Whether it asks for this very object, and not for something that the object is part of.
    fn names(&self, object: &ObjectId) -> bool {
        self.kind.is(&object.group, &object.kind) && self.selector.name == object.name
    }

    fn picks_kinds_in_namespace(&self) -> bool {
        self.is_namespace() && self.selector.scope == SelectionScope::NamespaceWithResourceSelectors
    }
}

/// The namespace that terms of namespaced kinds select in, if there is one.
fn home_namespace<'a>(
    scope: &'a PlacementScope,
    terms: &[Term<'a>],
) -> Result<Option<&'a str>, SelectionProblem> {
    if let PlacementScope::Namespace(namespace) = scope {
        return Ok(Some(namespace));
    }
    let Some(picking) = terms.iter().find(|term| term.picks_kinds_in_namespace()) else {
        return Ok(None);
    };
    if picking.selector.name.is_empty() {
        return Err(SelectionProblem::NamespaceWithoutName { selector: picking.number });
    }
    let is_other = |term: &&Term<'_>| term.is_namespace() && term.number != picking.number;
    match terms.iter().find(is_other) {
        Some(other) => Err(SelectionProblem::SecondNamespace { selector: other.number }),
        None => Ok(Some(&picking.selector.name)),
    }
}

/// Whether anything may be placed of the namespace that terms select in.
fn check_namespace(
    scope: &PlacementScope,
    namespace: &str,
    terms: &[Term<'_>],
    rules: &SelectionRules,
) -> Result<(), SelectionProblem> {
    let is_allowed = *scope != PlacementScope::Cluster && rules.namespaces.allows_named(namespace);
    if !is_allowed || !rules.namespaces.excludes(namespace) {
        return rules.namespaces.check(namespace);
    }
    match terms.iter().find(|term| term.selector.name.is_empty()) {
        Some(term) => {
            let namespace = namespace.to_owned();
            Err(SelectionProblem::NotByName { selector: term.number, namespace })
        }
        None => Ok(()),
    }
}

/// Whether a term can be followed at all, by itself.
fn check(
    term: &Term<'_>,
    scope: &PlacementScope,
    home: Option<&str>,
    catalogue: &dyn Catalogue,
    rules: &SelectionRules,
) -> Result<KindInfo, SelectionProblem> {
    let selector = term.number;
    let kind = || term.kind.clone();
    if !term.selector.name.is_empty() && term.selector.labels.is_some() {
        return Err(SelectionProblem::NameAndLabels { selector });
    }
    let requirements = term.selector.labels.iter().flat_map(|labels| &labels.match_expressions);
    for requirement in requirements {
        check_requirement(selector, requirement)?;
    }
    if rules.kinds.excludes(&term.kind) {
        return Err(SelectionProblem::ExcludedKind { selector, kind: kind() });
    }
    if is_envelope(&term.kind.group, &term.kind.kind) {
        return Err(SelectionProblem::Envelope { selector, kind: kind() });
    }
    let Some(info) = catalogue.kind(&term.kind) else {
        let served = catalogue.versions(&term.kind.group, &term.kind.kind);
        return Err(match served.is_empty() {
            true => SelectionProblem::UnknownKind { selector, kind: kind() },
            false => SelectionProblem::OtherVersions { selector, kind: kind(), served },
        });
    };
    if term.picks_kinds_in_namespace()
        && catalogue.object(&term.kind, None, &term.selector.name).is_none()
    {
        let namespace = term.selector.name.clone();
        return Err(SelectionProblem::NamespaceNotThere { selector, namespace });
    }
    match (scope, info.namespaced) {
        (PlacementScope::Cluster, true) if home.is_none() => {
            Err(SelectionProblem::NamespacedKind { selector, kind: kind() })
        }
        (PlacementScope::Namespace(_), false) => {
            Err(SelectionProblem::ClusterScopedKind { selector, kind: kind() })
        }
        (PlacementScope::Cluster | PlacementScope::Namespace(_), _) => Ok(info),
    }
}

fn check_requirement(
    selector: usize,
    requirement: &LabelRequirement,
) -> Result<(), SelectionProblem> {
    let (operator, needs_values) = match requirement.operator {
        LabelOperator::In => ("In", true),
        LabelOperator::NotIn => ("NotIn", true),
        LabelOperator::Exists => ("Exists", false),
        LabelOperator::DoesNotExist => ("DoesNotExist", false),
    };
    let demand = match (needs_values, requirement.values.is_empty()) {
        (true, true) => "needs values",
        (false, false) => "takes no values",
        (true, false) | (false, true) => return Ok(()),
    };
    let key = requirement.key.clone();
    Err(SelectionProblem::InvalidLabelSelector { selector, key, operator, demand })
}

/// What was chosen so far, with the number of the term that chose it.
struct Selection<'a> {
    catalogue: &'a dyn Catalogue,
    rules: &'a SelectionRules,
    chosen: Vec<(usize, Arc<HubObject>)>,
    /// Namespaces that are taken with all that is in them.
    whole: BTreeSet<String>,
    notes: Vec<SelectionNote>,
}

impl<'a> Selection<'a> {
    fn new(catalogue: &'a dyn Catalogue, rules: &'a SelectionRules) -> Self {
        Self { catalogue, rules, chosen: vec![], whole: BTreeSet::new(), notes: vec![] }
    }

    /// Whether the namespace that a cluster-scoped placement selects in is there to stay: what is
    /// in one that is being deleted goes with it.
    fn has_home(&self, scope: &PlacementScope, home: Option<&str>) -> bool {
        let (PlacementScope::Cluster, Some(home)) = (scope, home) else { return true };
        let namespace = self.catalogue.object(&namespace_kind(), None, home);
        namespace.is_some_and(|namespace| namespace.skip.is_none())
    }

    /// Takes the objects that a term names or matches.
    fn take_matching(
        &mut self,
        term: &Term<'_>,
        namespace: Option<&str>,
    ) -> Result<(), SelectionProblem> {
        let before = (self.chosen.len(), self.notes.len());
        for object in self.matching(term, namespace)? {
            self.take(term, object)?;
        }
        self.note_if_nothing(term, namespace, before);
        Ok(())
    }

    /// Takes the namespaces that a term names or matches, and what is in them if its scope says
    /// so.
    fn take_namespaces(&mut self, term: &Term<'_>) -> Result<(), SelectionProblem> {
        let before = (self.chosen.len(), self.notes.len());
        for namespace in self.matching(term, None)? {
            let name = namespace.id.name.clone();
            // What is in a namespace that is being deleted is on its way out with it.
            let is_there = self.take(term, namespace)?;
            if is_there && term.selector.scope == SelectionScope::NamespaceWithResources {
                self.take_all_in(term, &name)?;
                self.whole.insert(name);
            }
        }
        self.note_if_nothing(term, None, before);
        Ok(())
    }

    fn take_all_in(&mut self, term: &Term<'_>, namespace: &str) -> Result<(), SelectionProblem> {
        for kind in self.catalogue.namespaced_kinds() {
            if self.rules.kinds.excludes(&kind) {
                continue;
            }
            for object in self.catalogue.objects(&kind, Some(namespace), None) {
                self.take(term, object)?;
            }
        }
        Ok(())
    }

    fn matching(
        &mut self,
        term: &Term<'_>,
        namespace: Option<&str>,
    ) -> Result<Vec<Arc<HubObject>>, SelectionProblem> {
        let ResourceSelector { name, labels, .. } = term.selector;
        if name.is_empty() {
            let mut objects = self.catalogue.objects(&term.kind, namespace, labels.as_ref());
            if term.is_namespace() {
                let rules = &self.rules.namespaces;
                let skipped = objects.iter().find(|object| rules.excludes(&object.id.name));
                // Whoever asks for all namespaces does not mean those of the system.
                if labels.is_some()
                    && let Some(skipped) = skipped
                {
                    let namespace = skipped.id.name.clone();
                    let selector = term.number;
                    self.notes.push(SelectionNote::NamespaceSkipped { selector, namespace });
                }
                objects.retain(|object| !rules.excludes(&object.id.name));
            }
            return Ok(objects);
        }
        if term.is_namespace() {
            self.rules.namespaces.check(name)?;
        }
        Ok(self.catalogue.object(&term.kind, namespace, name).into_iter().collect())
    }

    /// Takes one object, unless there is a reason against it. Says whether it did.
    fn take(&mut self, term: &Term<'_>, object: Arc<HubObject>) -> Result<bool, SelectionProblem> {
        let service = GroupVersionKind::new("", "v1", "Service");
        let has_service = |namespace: &str, name: &str| {
            self.catalogue.object(&service, Some(namespace), name).is_some()
        };
        if let Some(reason) = reason_skipped(&object, self.rules.hub_runs_workloads, has_service) {
            self.skip(term, &object, reason)?;
            return Ok(false);
        }
        let Limits { objects, object_bytes } = self.rules.limits;
        if self.chosen.len() == objects {
            return Err(SelectionProblem::TooManyObjects { max: objects });
        }
        if object.manifest.len() > object_bytes {
            return Err(SelectionProblem::ObjectTooLarge {
                object: Box::new(object.id.clone()),
                bytes: object.manifest.len(),
                max: object_bytes,
            });
        }
        self.chosen.push((term.number, object));
        Ok(true)
    }

    /// Leaves an object out, and says so where somebody may have meant it.
    fn skip(
        &mut self,
        term: &Term<'_>,
        object: &HubObject,
        reason: SkipReason,
    ) -> Result<(), SelectionProblem> {
        let id = || Box::new(object.id.clone());
        let selector = term.number;
        if term.names(&object.id) {
            if reason.forbids_name() {
                return Err(SelectionProblem::NeverPlaced { selector, object: id(), reason });
            }
            self.notes.push(SelectionNote::NamedAndSkipped { selector, object: id(), reason });
        } else if reason.is_worth_a_note() {
            // Each envelope is somebody's; of the rest one is enough to know what it is about.
            let is_told = reason != SkipReason::Envelope
                && self.notes.iter().any(|note| note.tells_of(&object.id, reason));
            if !is_told {
                self.notes.push(SelectionNote::Skipped { first: id(), reason });
            }
        }
        Ok(())
    }

    /// Says so when a term selects nothing and nothing else explains it.
    fn note_if_nothing(
        &mut self,
        term: &Term<'_>,
        namespace: Option<&str>,
        before: (usize, usize),
    ) {
        if (self.chosen.len(), self.notes.len()) != before {
            return;
        }
        let (selector, kind) = (term.number, term.kind.clone());
        let name = term.selector.name.clone();
        let namespace = namespace.unwrap_or_default().to_owned();
        self.notes.push(match name.is_empty() {
            false => SelectionNote::NotThere { selector, kind, namespace, name },
            true => {
                let by_labels = term.selector.labels.is_some();
                SelectionNote::MatchesNothing { selector, kind, by_labels }
            }
        });
    }

    /// Everything that was chosen, once each.
    fn finish(mut self) -> Result<Resolved, SelectionProblem> {
        self.check_once_each()?;
        self.leave_out_what_is_made_for_selected();
        self.note_bindings_elsewhere();
        let mut objects: Vec<_> = self.chosen.into_iter().map(|(_, object)| object).collect();
        objects.sort_by(|a, b| install_order(&a.id, &b.id));
        Ok(Resolved { objects, notes: self.notes })
    }

    fn check_once_each(&self) -> Result<(), SelectionProblem> {
        let mut chosen_by = BTreeMap::new();
        for (second, object) in &self.chosen {
            let id = &object.id;
            // Two versions of an API show the same object.
            let identity = (&id.group, &id.kind, &id.namespace, &id.name);
            if let Some(first) = chosen_by.insert(identity, *second) {
                let (object, second) = (Box::new(id.clone()), *second);
                return Err(SelectionProblem::SelectedTwice { object, first, second });
            }
        }
        Ok(())
    }

    /// What a controller made for an object that is selected: the member's own controller makes one
    /// like it, and two would fight. Made for that again counts too: owners are looked for among
    /// everything that was chosen.
    fn leave_out_what_is_made_for_selected(&mut self) {
        let is_controlled = |(_, object): &(usize, Arc<HubObject>)| object.controller.is_some();
        if !self.chosen.iter().any(is_controlled) {
            return;
        }
        let identity = |object: &HubObject| {
            let ObjectId { group, kind, namespace, name, version: _ } = object.id.clone();
            (group, kind, namespace, name)
        };
        let all: BTreeSet<_> = self.chosen.iter().map(|(_, object)| identity(object)).collect();
        self.chosen.retain(|(_, object)| {
            let Some(Controller { group, kind, name }) = object.controller.clone() else {
                return true;
            };
            let within = |namespace: &str| {
                all.contains(&(group.clone(), kind.clone(), namespace.to_owned(), name.clone()))
            };
            !within(&object.id.namespace) && !within("")
        });
    }

    /// RoleBindings in namespaces that are never placed, about service accounts of namespaces that
    /// are taken whole.
    fn note_bindings_elsewhere(&mut self) {
        if self.whole.is_empty() {
            return;
        }
        let rules = &self.rules.namespaces;
        let bindings = GroupVersionKind::new("rbac.authorization.k8s.io", "v1", "RoleBinding");
        for namespace in self.catalogue.objects(&namespace_kind(), None, None) {
            let name = &namespace.id.name;
            if !rules.excludes(name) || rules.allows_named(name) {
                continue;
            }
            for binding in self.catalogue.objects(&bindings, Some(name), None) {
                let about = binding.service_account_namespaces();
                if let Some(namespace) = about.into_iter().find(|of| self.whole.contains(of)) {
                    let binding = Box::new(binding.id.clone());
                    self.notes.push(SelectionNote::BindingElsewhere { binding, namespace });
                }
            }
        }
    }
}

fn namespace_kind() -> GroupVersionKind {
    GroupVersionKind::new("", "v1", "Namespace")
}
