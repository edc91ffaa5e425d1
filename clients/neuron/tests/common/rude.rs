//! A connection of HTTP/2 by hand, over which as many streams are opened as one likes: ordinary clients heed the bound that
//! a neuron tells them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// The preface, and settings that set nothing.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Bytes of a frame before what it carries.
const HEAD_BYTES: usize = 9;
/// Kinds of frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
/// Flags of headers that are whole and followed by nothing.
const WHOLE: u8 = 0x4 | 0x1;
/// Why a stream is reset of which nothing was looked at.
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const PATH: &str = "/noesis.v1.Neuron/Describe";
/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

pub struct Rude {
    stream: TcpStream,
    /// The number of the next stream.
    next: u32,
    /// What has come and is no whole frame yet.
    come: Vec<u8>,
}

impl Rude {
    /// Connects from this address of ours, all of 127.0.0.0/8 being so.
    pub async fn open(from: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let mut stream = socket.connect(address).await?;
        stream.write_all(BEGIN).await?;
        Ok(Self {
            stream,
            next: 1,
            come: Vec::new(),
        })
    }

    /// Opens so many streams at once, each with a call that has no signature.
    pub async fn call(&mut self, streams: usize) -> io::Result<()> {
        let mut frames = Vec::new();
        for _ in 0..streams {
            frames.extend(call(self.next));
            self.next += 2;
        }
        self.stream.write_all(&frames).await
    }

    /// Waits until something comes, and counts the streams that are refused in it for being too many. Fails when the
    /// connection has ended.
    pub async fn refused(&mut self) -> io::Result<usize> {
        self.come.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.come).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut refused = 0;
        while let Some((kind, carried)) = first(&mut self.come) {
            refused += usize::from(kind == RST_STREAM && carried == REFUSED_STREAM);
        }
        Ok(refused)
    }
}

/// The frame of a call: its headers, by their numbers in HTTP/2's own table where they have one.
fn call(stream: u32) -> Vec<u8> {
    // `:method: POST`, `:scheme: http`, and `:path:`, whose value follows.
    let mut headers = vec![0x83, 0x86, 0x04, PATH.len() as u8];
    headers.extend(PATH.as_bytes());
    let mut frame = vec![0, 0, headers.len() as u8, HEADERS, WHOLE];
    frame.extend(stream.to_be_bytes());
    frame.extend(headers);
    frame
}

/// Takes the first frame away if it is whole: its kind, and what it carries.
fn first(come: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [high, middle, low, kind, ..] = come[..] else {
        return None;
    };
    let end = HEAD_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
    if come.len() < end {
        return None;
    }
    let carried = come.drain(..end).skip(HEAD_BYTES).collect();
    Some((kind, carried))
}
