//! The port: how orders reach a member.

use async_trait::async_trait;

use crate::{
    DeliverOrder, DeliveryAvailability, DeliveryReport, LinkError, Marked, MemberMark, Probe,
    WithdrawOrder, WithdrawReport,
};

/// One member cluster, as somebody who gives it orders sees it.
///
/// # Guarantees
///
/// - *Idempotence.* An order that is carried out again has the same result, and writes nothing when
///   the member is as it should be.
/// - *Fencing.* An order with a lower [`Fence`](crate::Fence) than the one that the member holds
///   for the same work is refused before it writes; one that is overtaken stops.
/// - *Removal by name only.* Nothing is removed that the order does not name, and of what it names
///   only what is owned by its work.
/// - *Isolation.* Trouble with one object does not keep others from being applied.
/// - *Secrets.* Neither errors nor reports nor logs hold bodies of objects or values of Secrets.
///
/// # Assumptions
///
/// - `leftovers` and `inventory` come from the record: they name everything that earlier orders for
///   the same work may have written.
/// - Two placements never have the same work name on one member.
///
/// # Cancel safety
///
/// Dropping a future leaves an order carried out in part, as a crash does. Repeating it finishes it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Makes the member hold exactly the manifests of the order.
    ///
    /// # Errors
    ///
    /// When the order was superseded, or the link cannot be used.
    async fn deliver(&self, order: &DeliverOrder) -> Result<DeliveryReport, LinkError>;

    /// Removes what the order names, and the AppliedWork once nothing of it is left.
    ///
    /// # Errors
    ///
    /// When the order was superseded, or the link cannot be used.
    async fn withdraw(&self, order: &WithdrawOrder) -> Result<WithdrawReport, LinkError>;

    /// Looks how available the objects of an order are, without writing anything. Where the link
    /// observes availability, it goes on doing so for this order, as after a delivery: this is how
    /// a restarted hub takes up deliveries that are done. If none of the objects changes its
    /// availability by itself, the member is not asked.
    ///
    /// # Errors
    ///
    /// When the member is asked, and holds a newer order or cannot be used.
    async fn assess(&self, order: &DeliverOrder) -> Result<DeliveryAvailability, LinkError>;

    /// Asks the member which cluster it is, how it is and what it has.
    ///
    /// # Errors
    ///
    /// When the link cannot be used. A member that answers, but is unwell, is not an error.
    async fn probe(&self) -> Result<Probe, LinkError>;

    /// Marks the member as one of a deployment, unless it carries a mark already. `cluster` is
    /// which cluster it is, as the probe said.
    ///
    /// # Errors
    ///
    /// When the link cannot be used.
    async fn mark(&self, cluster: &str, mark: &MemberMark) -> Result<Marked, LinkError>;

    /// Removes the mark, if it is that of this deployment for a member of this name.
    ///
    /// # Errors
    ///
    /// When the link cannot be used, or may not.
    async fn unmark(&self, deployment: &str, name: &str) -> Result<(), LinkError>;

    /// Asks the member for a token of one of its service accounts.
    ///
    /// # Errors
    ///
    /// When the link cannot be used, or the member gives none.
    async fn token(
        &self,
        namespace: &str,
        account: &str,
        seconds: i64,
    ) -> Result<String, LinkError>;

    /// Makes the member ready for orders: it is given the kind AppliedWork if it does not know it.
    /// Orders do the same, but a first order that has to is slow.
    ///
    /// # Errors
    ///
    /// When the link cannot be used, or may not do this.
    async fn prepare(&self) -> Result<(), LinkError>;
}
