//! Turns a future that sends items into a stream. Nothing is spawned; dropping the stream drops the future.

use std::future::Future;

use futures::{
    FutureExt, Stream, StreamExt,
    channel::mpsc::{self, Sender},
    future, stream,
};

/// Returns the items that `work` sends. The channel holds one item, so `work` waits for the consumer.
pub(super) fn channel_stream<T, W, F>(work: W) -> impl Stream<Item = T> + Send + use<T, W, F>
where
    T: Send,
    W: FnOnce(Sender<T>) -> F,
    F: Future<Output = ()> + Send,
{
    let (sender, receiver) = mpsc::channel(0);
    let work = work(sender).into_stream().map(|()| None);
    stream::select(receiver.map(Some), work).filter_map(future::ready)
}
