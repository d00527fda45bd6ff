//! A stream made from a future that sends: nothing is spawned, and dropping the stream ends the future.

use std::future::Future;

use futures::{
    FutureExt, Stream, StreamExt,
    channel::mpsc::{self, Sender},
    future, stream,
};

/// What `work` sends, as a stream. Sending waits until the item before was taken: nothing is buffered beyond one item.
pub(super) fn drive<T, W, F>(work: W) -> impl Stream<Item = T> + Send + use<T, W, F>
where
    T: Send,
    W: FnOnce(Sender<T>) -> F,
    F: Future<Output = ()> + Send,
{
    let (sender, receiver) = mpsc::channel(0);
    let work = work(sender).into_stream().map(|()| None);
    stream::select(receiver.map(Some), work).filter_map(future::ready)
}
