//! Sends messages to the console.

use tokio::sync::mpsc;

use crate::msg::Msg;

/// Sends a message to the console, if it still runs.
pub(super) async fn send(sender: &mpsc::Sender<Msg>, msg: Msg) {
    let _ = sender.send(msg).await;
}
