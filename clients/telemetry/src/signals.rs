//! The signals by which a program is told to end.

use std::io;
use tokio::{
    signal::unix::{signal, Signal, SignalKind},
    sync::watch,
};

/// Becomes true at Ctrl-C or SIGTERM. A second one ends the program at once: a module of the user's own may hang
/// and never come to the end that the first one asks for. To be called within a tokio runtime.
///
/// # Errors
///
/// What the system says when it does not let us listen.
pub fn stop_signal() -> io::Result<watch::Receiver<bool>> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        signalled(&mut interrupt, &mut terminate).await;
        tracing::info!("told to end; told once more, it ends at once");
        let _ = sender.send(true);
        let second = signalled(&mut interrupt, &mut terminate).await;
        // The file of a checkpoint is the old one until the new one is whole.
        tracing::warn!("told twice: ended at once, and the last checkpoint is the one from before");
        // As a shell tells of a signal. Not the usual exit: that would clean up libtorch beside threads of its that compute.
        signal_hook::low_level::exit(128 + second.as_raw_value());
    });
    Ok(receiver)
}

/// The next of the two that comes.
async fn signalled(interrupt: &mut Signal, terminate: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    }
}

/// Ready once that is true.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can ask any more, which is as good as being asked.
    let _ = stop.wait_for(|stop| *stop).await;
}
