//! Objects that run once, such as Jobs: which of them were made for a work, so that one that has
//! finished and is gone is not made again.
//!
//! This is kept on the AppliedWork, next to the objects: it goes with the member, whichever hub comes
//! to it, and ends with the delivery. A run is another one when the manifest is another, or the object
//! on the hub is (its uid). What a crash can lose is the run of an order that ended between the
//! creation of the object and the next request; if the object has finished and gone by then, it is
//! made again.

use std::collections::BTreeMap;

use events::ObjectId;
use serde_json::Value;

use crate::plan::Step;

/// The annotation of an AppliedWork that names the objects that were made and run once.
pub const RUNS_ANNOTATION: &str = "taffrail.dev/runs";

/// How many runs are kept for one work: some hundred bytes each, of the 256 KiB that the annotations
/// of an object may take. Jobs beyond that are made again when they are gone.
pub const RUNS_RECORDED_MAX: usize = 1_000;

/// Which run of which object was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(BTreeMap<String, String>);

impl Runs {
    /// Those that an AppliedWork names.
    pub(super) fn of(applied_work: &Value) -> Self {
        let text = applied_work["metadata"]["annotations"][RUNS_ANNOTATION].as_str();
        Self(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// Whether the run that a step is about was made.
    pub(super) fn has(&self, step: &Step) -> bool {
        let run = step.run();
        run.is_some() && self.0.get(&place(&step.id)).map(String::as_str) == run
    }

    /// Takes in a run that was made.
    pub(super) fn add(&mut self, step: &Step) {
        let place = place(&step.id);
        if let Some(run) = step.run()
            && (self.0.len() < RUNS_RECORDED_MAX || self.0.contains_key(&place))
        {
            self.0.insert(place, run.to_owned());
        }
    }

    /// Those of objects that an order still names.
    pub(super) fn of_steps<'a>(&self, steps: impl Iterator<Item = &'a Step>) -> Self {
        let of_step = |step: &Step| self.0.get_key_value(&place(&step.id));
        let kept = steps.filter_map(of_step).map(|(place, run)| (place.clone(), run.clone()));
        Self(kept.collect())
    }

    /// The annotations of the AppliedWork.
    pub(super) fn annotations(&self) -> BTreeMap<&'static str, String> {
        let text = serde_json::to_string(&self.0).expect("texts can be written as JSON");
        BTreeMap::from([(RUNS_ANNOTATION, text)])
    }
}

fn place(id: &ObjectId) -> String {
    format!("{}/{}", id.namespace, id.name)
}
