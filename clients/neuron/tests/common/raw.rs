//! Plain tonic that gives one answer to everything, to compare with: no signature, no check.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use noesis_proto::Bytes;
use prost::bytes::{Buf, BufMut};
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{
        http::{self, uri::PathAndQuery},
        BoxFuture, Service,
    },
    server::{Grpc, NamedService},
    transport::{server::TcpIncoming, Channel, Endpoint, Server},
    Request, Response, Status,
};

/// The windows that a neuron and its client have too.
const WINDOW: u32 = 2 * 1024 * 1024;
const MOST: usize = 64 * 1024 * 1024;

/// A running server and a channel to it.
pub struct Raw(Channel);

impl Raw {
    pub async fn start(answer: Bytes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let serving = Server::builder()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .add_service(Answering(answer))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::spawn(serving);
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address")
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .connect()
            .await
            .expect("connects");
        Self(channel)
    }

    pub async fn call(&self, request: Bytes) -> Bytes {
        let mut grpc = client::Grpc::new(self.0.clone()).max_decoding_message_size(MOST);
        grpc.ready().await.expect("ready");
        let path = PathAndQuery::from_static("/raw.Raw/Call");
        let answer = grpc.unary(Request::new(request), path, Plain).await;
        answer.expect("answered").into_inner()
    }
}

#[derive(Clone)]
struct Answering(Bytes);

impl NamedService for Answering {
    const NAME: &'static str = "raw.Raw";
}

impl Service<http::Request<Body>> for Answering {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain).max_decoding_message_size(MOST);
            Ok(grpc.unary(answer, request).await)
        })
    }
}

impl Service<Request<Bytes>> for Answering {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(Response::new(self.0.clone())))
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, wire: &mut EncodeBuf<'_>) -> Result<(), Status> {
        wire.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, wire: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(wire.copy_to_bytes(wire.remaining())))
    }
}
