//! Bodies that are cut, truncated, slowed or duplicated on their way to the client.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};

use super::super::service::ResponseBody;

/// Body of a response that may break.
pub type FaultyBody = UnsyncBoxBody<Bytes, ConnectionCut>;

/// The connection was cut by an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection cut by an injected fault")]
pub struct ConnectionCut;

/// Returns the body unchanged.
pub(crate) fn whole(body: ResponseBody) -> FaultyBody {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Cuts the connection after `lines` lines.
pub(super) fn cut_after_lines(body: ResponseBody, lines: u64) -> FaultyBody {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let cut = stream::iter([Err(ConnectionCut)]);
    framed(self::lines(body).take(lines).map(Ok).chain(cut))
}

/// Cuts the connection after `bytes` bytes, or ends the body there if `cleanly`.
pub(super) fn cut_after_bytes(body: ResponseBody, bytes: u64, cleanly: bool) -> FaultyBody {
    let left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let pieces = Box::pin(pieces(body));
    let end = move || (!cleanly).then_some((Err(ConnectionCut), None));
    framed(stream::unfold(
        Some((pieces, left)),
        move |state| async move {
            let (mut pieces, left) = state?;
            if left == 0 {
                return end();
            }
            let mut piece: Bytes = pieces.next().await?;
            piece.truncate(left);
            let left = left - piece.len();
            Some((Ok(piece), Some((pieces, left))))
        },
    ))
}

/// Sends every line twice.
pub(super) fn doubled(body: ResponseBody) -> FaultyBody {
    framed(lines(body).flat_map(|line| stream::iter([Ok(line.clone()), Ok(line)])))
}

/// Delays every line.
pub(super) fn slowed(body: ResponseBody, by: Duration) -> FaultyBody {
    framed(lines(body).then(move |line| async move {
        tokio::time::sleep(by).await;
        Ok(line)
    }))
}

fn framed(pieces: impl Stream<Item = Result<Bytes, ConnectionCut>> + Send + 'static) -> FaultyBody {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

fn pieces(body: ResponseBody) -> impl Stream<Item = Bytes> + Send + 'static {
    BodyStream::new(body).filter_map(|frame| {
        let Ok(frame) = frame;
        std::future::ready(frame.into_data().ok())
    })
}

/// Splits a body into lines, including line breaks. An unfinished last line counts.
fn lines(body: ResponseBody) -> impl Stream<Item = Bytes> + Send + 'static {
    let state = (Box::pin(pieces(body)), Vec::new(), false);
    stream::unfold(state, |(mut pieces, mut rest, mut over)| async move {
        loop {
            if let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let after = rest.split_off(end + 1);
                return Some((Bytes::from(rest), (pieces, after, over)));
            }
            if over {
                let last = (!rest.is_empty()).then(|| Bytes::from(rest));
                return last.map(|last| (last, (pieces, Vec::new(), over)));
            }
            match pieces.next().await {
                Some(piece) => rest.extend_from_slice(&piece),
                None => over = true,
            }
        }
    })
}
