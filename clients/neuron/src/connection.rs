//! Connections that are bounded in number, in silence and in age.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{ready, Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout, Duration, Instant, Sleep},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::{
    lines::{Line, Lines, Room},
    Certificate, Limits,
};

/// Length of what every HTTP/2 client sends first.
const PREFACE_BYTES: usize = 24;

/// Pause after the system could not accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a neuron listens, and whether it speaks TLS there.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    certificate: Option<Certificate>,
}

/// In the clear.
impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self {
            tcp,
            certificate: None,
        }
    }
}

impl Listener {
    /// With TLS, under this certificate alone.
    pub fn with_tls(tcp: TcpListener, certificate: Certificate) -> Self {
        Self {
            tcp,
            certificate: Some(certificate),
        }
    }
}

/// Bytes to and fro, in the clear or within TLS.
pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}
pub(crate) type Bytestream = Pin<Box<dyn ReadWrite>>;

/// Accepts connections; where there is no room, a lesser one gives way.
pub(crate) struct Incoming {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Connections that have a place but no TLS yet.
    handshakes: JoinSet<Option<Connection>>,
    lines: Lines,
    pause: Option<Pin<Box<Sleep>>>,
    limits: Limits,
    closed: watch::Receiver<bool>,
}

impl Incoming {
    /// Connections of `listener`, all of which end when `closed` turns true or its sender goes.
    pub(crate) fn new(listener: Listener, limits: Limits, closed: watch::Receiver<bool>) -> Self {
        let certificate = listener.certificate.as_ref();
        Self {
            tls: certificate.map(Certificate::acceptor),
            listener: listener.tcp,
            handshakes: JoinSet::new(),
            lines: Lines::new(limits.connections, limits.connections_per_address),
            pause: None,
            limits,
            closed,
        }
    }
}

impl Incoming {
    /// A connection once TLS is agreed on, which may take as long as the preface afterwards. One that gives way
    /// meanwhile ends at once, so that the bounds hold for those that never agree, too.
    fn shake_hands(&mut self, tls: TlsAcceptor, stream: TcpStream, room: Room) {
        let (limits, closed) = (self.limits.clone(), self.closed.clone());
        let line = room.line.clone();
        self.handshakes.spawn(async move {
            let shaken = tokio::select! {
                shaken = timeout(limits.handshake, tls.accept(stream)) => shaken,
                () = line.ended() => return None,
            };
            let stream = shaken.ok()?.ok()?;
            Some(Connection::new(Box::pin(stream), room, &limits, closed))
        });
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            while let Poll::Ready(Some(shaken)) = self.handshakes.poll_join_next(context) {
                if let Ok(Some(connection)) = shaken {
                    return Poll::Ready(Some(Ok(connection)));
                }
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, peer)) => {
                    let Some(room) = self.lines.take(peer.ip()) else {
                        tracing::debug!("connection closed: as many are open as may be");
                        continue;
                    };
                    // Answers are small or written at once; waiting for more would only delay them. Where
                    // it cannot be set, they are delayed.
                    let _ = stream.set_nodelay(true);
                    if let Some(tls) = self.tls.clone() {
                        self.shake_hands(tls, stream, room);
                        continue;
                    }
                    let (stream, closed) = (Box::pin(stream), self.closed.clone());
                    let connection = Connection::new(stream, room, &self.limits, closed);
                    return Poll::Ready(Some(Ok(connection)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                    self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

/// One connection. Reading fails once it has been silent for too long, is too old, was told to end, or all are
/// closed, and so does writing that has to wait; that ends it, whatever it is doing.
pub(crate) struct Connection {
    stream: Bytestream,
    received: usize,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
    room: Room,
}

impl Connection {
    fn new(
        stream: Bytestream,
        room: Room,
        limits: &Limits,
        mut closed: watch::Receiver<bool>,
    ) -> Self {
        let age = limits.connection_age.saturating_add(limits.call_time);
        let line = room.line.clone();
        Self {
            stream,
            received: 0,
            idle: limits.idle,
            silence: Box::pin(sleep(limits.handshake)),
            end: Box::pin(async move {
                tokio::select! {
                    () = sleep(age) => {}
                    () = line.ended() => {}
                    _ = closed.wait_for(|&closed| closed) => {}
                }
            }),
            ended: false,
            room,
        }
    }

    /// Fails once it is to end.
    fn lives(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.ended = self.ended || self.end.as_mut().poll(context).is_ready();
        if self.ended {
            Err(timed_out("the connection is over"))
        } else {
            Ok(())
        }
    }

    /// What came of writing. Who does not read what is written keeps the reading waiting, too.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.lives(context)?;
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.lives(context)?;
        let before = buffer.filled().len();
        let read = self.stream.as_mut().poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.received = self.received.saturating_add(bytes);
            if self.received >= PREFACE_BYTES {
                let later = Instant::now() + self.idle;
                self.silence.as_mut().reset(later);
            }
        } else if read.is_pending() && self.silence.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(timed_out("the connection is silent")));
        }
        read
    }
}

fn timed_out(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, words)
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(context);
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = Line;

    fn connect_info(&self) -> Line {
        self.room.line.clone()
    }
}
