//! Response bodies: a whole document, or the lines of a watch as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http_body::Frame;
use tokio::sync::watch::Receiver;

use super::member::ClusterHandle;
use crate::WatchId;

/// The body of a simulated response. Data never fails to arrive; a broken connection ends it.
pub struct SimulatedBody {
    content: Content,
}

enum Content {
    Whole(Option<Bytes>),
    Lines(BoxStream<'static, Bytes>),
}

impl SimulatedBody {
    /// The body of a document.
    pub fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)) }
    }

    /// The document.
    ///
    /// # Errors
    /// The body itself when it is a stream of lines.
    pub fn into_whole(self) -> Result<Bytes, Self> {
        match self.content {
            Content::Whole(bytes) => Ok(bytes.unwrap_or_default()),
            Content::Lines(_) => Err(self),
        }
    }

    pub(super) fn watch(cluster: ClusterHandle, id: WatchId) -> Self {
        Self { content: Content::Lines(watch_lines(cluster, id).boxed()) }
    }
}

impl std::fmt::Debug for SimulatedBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.content {
            Content::Whole(_) => "SimulatedBody::Whole",
            Content::Lines(_) => "SimulatedBody::Lines",
        })
    }
}

impl http_body::Body for SimulatedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take()),
            Content::Lines(lines) => lines.poll_next_unpin(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// An open watch; closed when the client drops it.
struct OpenWatch {
    cluster: ClusterHandle,
    id: WatchId,
    changes: Receiver<()>,
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.cluster.close_watch(self.id);
    }
}

/// The output of a watch as it comes.
pub(super) fn watch_lines(
    cluster: ClusterHandle,
    id: WatchId,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let changes = cluster.changes();
    futures::stream::unfold(OpenWatch { cluster, id, changes }, |mut open| async move {
        loop {
            open.changes.mark_unchanged();
            let output = open.cluster.poll_watch(open.id);
            if !output.lines.is_empty() {
                return Some((output.lines, open));
            }
            if output.ended || open.changes.changed().await.is_err() {
                return None;
            }
        }
    })
}
