//! Serving a model: listener to shutdown.

use std::{future::Future, sync::Arc};

use noesis_proto::{FILE_DESCRIPTOR_SET, SERVICE};
use subxt_signer::sr25519::Keypair;
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, Duration},
};
use tonic::transport::Server;
use tonic_health::ServingStatus;

use crate::{
    admission::Admission,
    connection::{Incoming, Listener},
    service::{Neuron, NeuronService},
    signature::now_milliseconds,
    Callers, Limits, Model,
};

/// Bytes that a caller may send ahead of being read, a stream.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same, a connection.
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Longest headers of a call, in bytes; a signature takes less than one thousand.
const HEADER_BYTES: u32 = 16 * 1024;
/// Time between two signs of life asked of a caller, and time it has to give one.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors built into this program cannot be read.
    #[error("reflection cannot read the protocol's descriptors: {0}; rebuild the program")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport gave up.
    #[error("serving ended: {0}; is the port free and the number of open files high enough?")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves `model` on `listener`, in the clear on a bare one of TCP, until `shutdown`, together with `grpc.health.v1` and reflection.
///
/// Answers are signed by `identity`. Only calls signed for this identity and the chain of `genesis`,
/// by hotkeys in the latest `callers`, reach the model; no call, however malformed, ends serving.
/// After `shutdown`, calls in progress get `limits.drain` to end, then all connections are closed.
/// Dropping the future closes them too.
///
/// # Errors
/// [`ServeError`], before the first call or never.
pub async fn serve<M: Model>(
    listener: impl Into<Listener>,
    model: M,
    identity: Keypair,
    genesis: [u8; 32],
    callers: watch::Receiver<Arc<Callers>>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let receiver = identity.public_key().0;
    let start = now_milliseconds();
    let neuron = NeuronService(Arc::new(Neuron {
        model: Arc::new(model),
        admission: Admission::new(receiver, genesis, callers, &limits, start),
        identity,
        limits: limits.clone(),
    }));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status(SERVICE, ServingStatus::Serving)
        .await;

    let (close, closed) = watch::channel(false);
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        shutdown.await;
        for name in ["", SERVICE] {
            reporter
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
        // Whoever waits for this has gone only if serving has ended already.
        let _ = stopping.send(());
    };
    let serving = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_connection_age(limits.connection_age)
        .add_service(health)
        .add_service(reflection)
        .add_service(neuron)
        .serve_with_incoming_shutdown(Incoming::new(listener.into(), limits.clone(), closed), stop);
    let drained = async {
        if stopped.await.is_ok() {
            sleep(limits.drain).await;
        }
    };
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = drained => {}
    }
    close.send_replace(true);
    Ok(serving.await?)
}
