//! What may keep a hub from its work, besides its log and its index: shown by `/readyz`.

use std::sync::Arc;

use actors::node::{NodeStatus, Router};
use api::http::NotReady;
use hub::http::Check;

/// What a node says of one of them, if it is in the way.
type Look = fn(NodeStatus) -> Option<String>;

/// The checks of a node.
pub(super) fn of(router: &Router) -> Vec<Check> {
    let checks: [(&'static str, Look); 4] = [
        ("catching-up", |node| node.catching_up.map(|at| format!("the log is being read: {at}"))),
        ("log-reading", unread),
        ("projections", |node| node.projections),
        ("membership", |node| node.superseded),
    ];
    let check = |(check, what): (&'static str, Look)| -> Check {
        let router = router.clone();
        Arc::new(move || {
            let message = what(router.status())?;
            Some(NotReady { check: check.to_owned(), message })
        })
    };
    checks.into_iter().map(check).collect()
}

/// Partitions that cannot be read just now: the first of them speaks for all.
fn unread(node: NodeStatus) -> Option<String> {
    let (partition, reason) = node.unread.first_key_value()?;
    let others = match node.unread.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!("partition {partition}{others} cannot be read, and is tried again: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use events::{Partition, Watermark};

    use super::*;

    #[test]
    fn partitions_that_cannot_be_read_are_told_in_one_line() {
        let status = |unread: &[u16]| NodeStatus {
            watermark: Watermark::default(),
            owning: BTreeMap::new(),
            effects: 0,
            catching_up: None,
            unread: unread.iter().map(|p| (Partition(*p), "no broker".to_owned())).collect(),
            projections: None,
            superseded: None,
            stopped: None,
        };
        assert_eq!(unread(status(&[])), None);
        let expected = "partition 3 and 1 more cannot be read, and is tried again: no broker";
        assert_eq!(unread(status(&[3, 7])).as_deref(), Some(expected));
    }
}
