//! A wall around code that another may make panic.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;

use crate::Failure;

/// Runs `work` so that a panic in it ends nothing else. `what` names the work in the failure's words.
///
/// It is polled where it is awaited instead of as a task of its own, which another thread would have to wake up for.
pub(crate) async fn contain<T>(
    what: &str,
    work: impl Future<Output = T> + Send,
) -> Result<T, Failure> {
    // Half-done state is the work's own, which is dropped; what it shares lies behind locks that are taken whoever has panicked.
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|panic| {
        tracing::error!(words = words(panic.as_ref()), "{what} panicked");
        Failure::Internal(format!(
            "{what} panicked; its log says where, please report it"
        ))
    })
}

/// What was said in the panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_failure_and_says_what_it_said() {
        let done = contain("the model", async { 7 }).await;
        assert_eq!(done, Ok(7));
        let failed = contain("the model", async {
            tokio::task::yield_now().await;
            panic!("at step {}", 3)
        });
        let failed: Result<(), Failure> = failed.await;
        assert!(
            matches!(failed, Err(Failure::Internal(words)) if words.starts_with("the model panicked"))
        );
        let panic = std::panic::catch_unwind(|| panic!("at step {}", 3));
        assert_eq!(words(panic.expect_err("it panics").as_ref()), "at step 3");
        let panic = std::panic::catch_unwind(|| panic!("plainly"));
        assert_eq!(words(panic.expect_err("it panics").as_ref()), "plainly");
    }
}
