//! The connection to a node, which outlives the node's absences.

use std::{future::Future, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use subxt::{
    backend::LegacyBackend,
    config::RpcConfigFor,
    rpcs::{
        client::reconnecting_rpc_client::FixedInterval, client::ReconnectingRpcClient,
        client::RpcParams, Error as Rpc, LegacyRpcMethods, RpcClient,
    },
    OnlineClient, SubstrateConfig,
};
use tokio::time::timeout;

use crate::ChainError;

/// How long a node may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long a node may take to answer one query; it is generous because local networks run many
/// training processes on the node's own cores.
pub(crate) const QUERY_DEADLINE: Duration = Duration::from_secs(20);

/// The name of our runtime.
const RUNTIME: &str = "noesis";

/// Pause between two attempts to reach a node that went away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A connection to one node; clones share it.
///
/// When the node goes away, calls fail with [`ChainError::Unreachable`]; when it comes back, the same
/// `Chain` works again.
#[derive(Clone)]
pub struct Chain {
    pub(crate) url: Arc<str>,
    pub(crate) rpc: RpcClient,
    pub(crate) methods: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    pub(crate) client: OnlineClient<SubstrateConfig>,
}

impl Chain {
    /// Connects to the node at `url`, e.g. `ws://127.0.0.1:9944`.
    ///
    /// Fails with [`ChainError::BadUrl`], with [`ChainError::Unreachable`] when no node answers
    /// within five seconds, and with [`ChainError::NotNoesis`] when it follows a chain of another kind.
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        if !url.starts_with("ws://") && !url.starts_with("wss://") {
            return Err(ChainError::BadUrl { url: url.into() });
        }
        let unreachable = |reason: String| ChainError::Unreachable {
            url: url.into(),
            reason,
        };
        // The builder tries again for ever, which is right for a node that went away and wrong for
        // one that was never there.
        let connecting = ReconnectingRpcClient::builder()
            .retry_policy(FixedInterval::new(RECONNECT_PAUSE))
            .build(url);
        let rpc = match timeout(CONNECT_DEADLINE, connecting).await {
            Ok(Ok(client)) => RpcClient::new(client),
            Ok(Err(_)) => return Err(ChainError::BadUrl { url: url.into() }),
            Err(_) => {
                return Err(unreachable(format!(
                    "nothing within {} seconds",
                    CONNECT_DEADLINE.as_secs()
                )))
            }
        };
        // The older JSON-RPC methods, because their refusals carry the reason in a code, where the
        // newer ones carry only a sentence.
        let backend = LegacyBackend::builder().build(rpc.clone());
        let client = match timeout(
            QUERY_DEADLINE,
            OnlineClient::from_backend(Arc::new(backend)),
        )
        .await
        {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("it accepts connections and is silent".into())),
        };
        let chain = Self {
            url: url.into(),
            methods: LegacyRpcMethods::new(rpc.clone()),
            rpc,
            client,
        };
        let runtime = chain
            .ask(chain.methods.state_get_runtime_version(None))
            .await?;
        let name = runtime.other.get("specName").and_then(|name| name.as_str());
        check_runtime(url, name.unwrap_or("without a name"))?;
        Ok(chain)
    }

    /// Address of the node.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Hash of the chain's first block, which names the chain.
    pub fn genesis_hash(&self) -> [u8; 32] {
        self.client.genesis_hash().0
    }

    /// Waits for an answer no longer than [`QUERY_DEADLINE`], and puts failures in words.
    pub(crate) async fn ask<T, E: Into<subxt::Error>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ChainError> {
        match timeout(QUERY_DEADLINE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(error.into())),
            Err(_) => Err(self.unreachable(format!(
                "no answer within {} seconds",
                QUERY_DEADLINE.as_secs()
            ))),
        }
    }

    /// Asks one of the market's own questions, `market_…`.
    pub(crate) async fn ask_market<Answer: DeserializeOwned>(
        &self,
        method: &str,
        params: RpcParams,
    ) -> Result<Answer, ChainError> {
        let question = async {
            match self.rpc.request::<Answer>(method, params).await {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => refused(error).map(Err),
            }
        };
        self.ask(question).await?
    }

    /// The error of a question that was not answered.
    pub(crate) fn explain(&self, error: subxt::Error) -> ChainError {
        match &error {
            subxt::Error::OtherRpcClientError(
                Rpc::Client(_) | Rpc::DisconnectedWillReconnect(_),
            ) => self.unreachable(error.to_string()),
            subxt::Error::OtherRpcClientError(Rpc::User(refusal)) if refusal.code == -32601 => {
                ChainError::NotNoesis {
                    url: self.url.to_string(),
                    what: "the JSON-RPC methods of a market".into(),
                }
            }
            _ if error.is_disconnected_will_reconnect() => self.unreachable(error.to_string()),
            _ => ChainError::Unexpected(error.to_string()),
        }
    }

    pub(crate) fn unreachable(&self, reason: String) -> ChainError {
        ChainError::Unreachable {
            url: self.url.to_string(),
            reason,
        }
    }
}

/// The error of a question about a market that the node refuses: its words say what there is not, or of which block it
/// cannot tell. Any other failure is given back.
fn refused(error: Rpc) -> Result<ChainError, Rpc> {
    match error {
        // Wrong parameters, and an error within the node.
        Rpc::User(refusal) if [-32602, -32603].contains(&refusal.code) => {
            Ok(ChainError::NoAnswer(refusal.message))
        }
        other => Err(other),
    }
}

/// Whether the chain's runtime is one of a market, before anything is asked of it.
fn check_runtime(url: &str, name: &str) -> Result<(), ChainError> {
    match name {
        RUNTIME => Ok(()),
        other => Err(ChainError::NotNoesis {
            url: url.into(),
            what: format!("the runtime `{RUNTIME}` (its runtime is `{other}`)"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_another_chain_is_named_with_its_runtime() {
        check_runtime("ws://here", "noesis").unwrap();
        let error = check_runtime("ws://here", "polkadot").unwrap_err();
        let words = error.to_string();
        assert!(
            words.contains("ws://here") && words.contains("`polkadot`"),
            "{words}"
        );
    }

    #[test]
    fn what_a_node_refuses_to_say_of_a_market_is_told_in_its_words() {
        let error = |code| {
            Rpc::User(subxt::rpcs::UserError {
                code,
                message: "the state of block 7 cannot be read; ask for a later block".into(),
                data: None,
            })
        };
        for code in [-32602, -32603] {
            let told = refused(error(code)).unwrap();
            assert!(matches!(told, ChainError::NoAnswer(_)), "{told:?}");
            let words = told.to_string();
            assert!(words.ends_with("ask for a later block"), "{words}");
        }
        assert!(refused(error(-32601)).is_err());
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_named_with_what_to_do() {
        // A port that was free a moment ago, and that nobody listens on.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", free.local_addr().unwrap());
        drop(free);
        let error = Chain::connect(&url).await.err().unwrap();
        assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
        assert!(error.retryable());
        let words = error.to_string();
        assert!(
            words.contains(&url) && words.contains("start one"),
            "{words}"
        );
    }

    #[tokio::test]
    async fn a_text_that_is_no_address_is_refused_at_once() {
        for url in ["", "localhost", "http://127.0.0.1:9944", "ws://:::"] {
            let error = Chain::connect(url).await.err().unwrap();
            assert!(matches!(error, ChainError::BadUrl { .. }), "{url}: {error}");
        }
    }
}
