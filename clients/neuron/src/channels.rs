//! Connections to peers, reused and bounded.

use std::{collections::HashMap, net::SocketAddr, sync::Mutex};

use tonic::{
    codegen::http::uri::{Authority, Scheme, Uri},
    transport::{Channel, Endpoint},
};

use crate::{
    client::KEEPALIVE, lock::lock, tls::Connector, ClientLimits, Failure, Fingerprint, Peer,
};

/// Bytes that a peer may send ahead of being read.
const WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Longest frame that a peer may send: with the usual 16 KiB a large answer is hundreds of them.
const FRAME_BYTES: u32 = 256 * 1024;

/// One channel an endpoint; when there is no room, the one longest unused gives way. Calls on it end
/// undisturbed. A channel connects when first used, and again whenever its connection is lost.
#[derive(Debug)]
pub(crate) struct Channels {
    open: Mutex<Open>,
    limits: ClientLimits,
}

#[derive(Debug, Default)]
struct Open {
    /// By endpoint and certificate, the channel and the moment of its last use.
    channels: HashMap<(String, Option<Fingerprint>), (Channel, u64)>,
    moment: u64,
}

impl Channels {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Self {
            open: Mutex::default(),
            limits,
        }
    }

    /// The channel to a peer, with TLS where it published a certificate. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] where the endpoint is not `host:port`.
    pub(crate) fn get(&self, peer: &Peer) -> Result<Channel, Failure> {
        let target = (peer.endpoint.clone(), peer.certificate);
        let mut open = lock(&self.open);
        open.moment += 1;
        let moment = open.moment;
        if let Some((channel, used)) = open.channels.get_mut(&target) {
            *used = moment;
            return Ok(channel.clone());
        }
        let channel = Endpoint::from(parse(&peer.endpoint)?)
            .connect_timeout(self.limits.connect)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .connect_with_connector_lazy(Connector::new(peer.certificate)?);
        while open.channels.len() >= self.limits.channels.max(1) {
            let unused = open.channels.iter().min_by_key(|(_, (_, used))| *used);
            let Some(unused) = unused.map(|(target, _)| target.clone()) else {
                break;
            };
            open.channels.remove(&unused);
        }
        let entry = (channel.clone(), moment);
        open.channels.insert(target, entry);
        Ok(channel)
    }
}

/// Whether the endpoint is on this machine, as its very words say.
pub(crate) fn is_loopback(endpoint: &str) -> bool {
    endpoint
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
}

fn parse(endpoint: &str) -> Result<Uri, Failure> {
    let malformed = || {
        Failure::Unreachable(format!(
            "{} is not host:port; wait until the neuron publishes one that is",
            crate::failure::tame(endpoint)
        ))
    };
    let authority: Authority = endpoint.parse().map_err(|_| malformed())?;
    if authority.host().is_empty()
        || authority.as_str().contains('@')
        || authority.port_u16().is_none_or(|port| port == 0)
    {
        return Err(malformed());
    }
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_is_an_endpoint() {
        for good in ["127.0.0.1:9101", "[::1]:9101", "neuron.example:1"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ":",
            ":9101",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "http://host:1",
            "user@host:1",
            "host:1/path",
            "ho st:1",
            "host:1\n",
            "\u{7f}",
            "[::1]",
        ] {
            let failure = parse(bad).expect_err(bad);
            assert!(matches!(failure, Failure::Unreachable(_)), "{bad}");
        }
    }

    #[tokio::test]
    async fn channels_are_reused_and_bounded() {
        let channels = Channels::new(ClientLimits {
            channels: 2,
            ..ClientLimits::default()
        });
        for endpoint in ["a:1", "b:1", "a:1", "c:1"] {
            let peer = Peer {
                hotkey: [0; 32],
                endpoint: endpoint.into(),
                certificate: None,
            };
            channels.get(&peer).expect("a good endpoint");
        }
        let open = channels.open.lock().expect("no panic");
        let mut kept: Vec<_> = open
            .channels
            .keys()
            .map(|target| target.0.as_str())
            .collect();
        kept.sort_unstable();
        assert_eq!(kept, ["a:1", "c:1"]); // b was the longest unused
    }
}
