//! A wall around code that another may make panic.

use std::future::Future;

use tokio::task::JoinSet;

use crate::Failure;

/// Runs `work` as a task of its own, so that a panic in it ends only that task; the task is aborted
/// when the returned future is dropped. `what` names the work in the failure's words.
pub(crate) async fn contain<T, F>(what: &str, work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(done)) => Ok(done),
        Some(Err(error)) if error.is_panic() => {
            tracing::error!(%error, "{what} panicked");
            Err(Failure::Internal(format!(
                "{what} panicked; its log says where, please report it"
            )))
        }
        Some(Err(_)) | None => Err(Failure::Internal(format!(
            "{what} was stopped; try again once the program runs"
        ))),
    }
}
