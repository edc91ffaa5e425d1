//! What a call did, beside what was planned.

use noesis_chain::Chain;

use crate::transaction::Told;

/// The numbers of the event in which the chain says what the call did; `None` where it is in no block, and where
/// they cannot be read, which is said.
pub async fn receipt<const N: usize>(
    chain: &Chain,
    told: &mut Told<'_>,
    event: &str,
    names: [&str; N],
) -> Option<[u64; N]> {
    let read = chain.receipt(&told.sent?, event, names).await;
    // The call is done all the same.
    read.inspect_err(|error| told.line(format!("what came of it cannot be read: {error}")))
        .ok()
}
