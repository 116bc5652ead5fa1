//! Frames of RFC 6455, written and read by hand, so that nothing that is judged judges itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What a server said.
#[derive(Clone, PartialEq)]
pub(crate) enum Heard {
    /// A text, its fragments joined.
    Text(String),
    Pong(Vec<u8>),
    /// A close with its code, if it has one.
    Close(Option<u16>),
    /// The end, without a close.
    End,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) if text.len() > 60 => write!(f, "{} bytes of text", text.len()),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Pong(payload) => write!(f, "pong {:?}", String::from_utf8_lossy(payload)),
            Self::Close(code) => write!(f, "close {code:?}"),
            Self::End => f.write_str("end"),
        }
    }
}

/// A client's frame.
pub(crate) fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    raw_frame(u8::from(fin) << 7 | opcode, payload)
}

pub(crate) fn text(message: &str) -> Vec<u8> {
    frame(true, TEXT, message.as_bytes())
}

pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(true, CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A masked frame with any first octet.
pub(crate) fn raw_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) struct Socket {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Socket {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET /windlass/socket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        // The example of RFC 6455, section 1.3.
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
        let (reader, writer) = stream.into_split();
        Self { reader, writer }
    }

    /// Sends the bytes in pieces and gives back what came: so many messages, or fewer and a close, and what comes
    /// before the answer to a ping that shows that the connection lives.
    pub(crate) async fn exchange(&mut self, bytes: &[u8], piece: usize, messages: usize) -> Vec<Heard> {
        let Self { reader, writer } = self;
        let write = async {
            for piece in bytes.chunks(piece) {
                // A server that has closed takes no more.
                if writer.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut message = None;
        let read = async {
            let mut heard = Vec::new();
            while heard.len() < messages && !heard.last().is_some_and(Heard::is_last) {
                heard.push(hear(reader, &mut message).await);
            }
            heard
        };
        let ((), mut heard) = tokio::join!(write, read);
        if !heard.last().is_some_and(Heard::is_last) {
            // A server that has closed instead is heard below.
            _ = writer.write_all(&frame(true, PING, LIVES)).await;
            loop {
                match hear(reader, &mut message).await {
                    Heard::Pong(payload) if payload == LIVES => break,
                    more => heard.push(more),
                }
                if heard.last().is_some_and(Heard::is_last) {
                    break;
                }
            }
        }
        heard
    }
}

impl Heard {
    fn is_last(&self) -> bool {
        matches!(self, Self::Close(_) | Self::End)
    }
}

/// The next message, fragments joined; `message` holds those that came so far, since a pong may come between.
async fn hear(reader: &mut OwnedReadHalf, message: &mut Option<Vec<u8>>) -> Heard {
    loop {
        let Ok((first, payload)) = read_frame(reader).await else { return Heard::End };
        assert_eq!(first & 0x70, 0, "a server sets no reserved bits");
        match first & 0x0f {
            TEXT | CONTINUE => {
                assert_eq!(first & 0x0f == TEXT, message.is_none(), "fragments continue one text");
                message.get_or_insert_default().extend_from_slice(&payload);
                if first & 0x80 != 0 {
                    return Heard::Text(String::from_utf8(message.take().unwrap()).unwrap());
                }
            }
            PONG => return Heard::Pong(payload),
            CLOSE => return Heard::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            // The server's own pings need no answer here.
            PING => {}
            other => panic!("opcode {other} of a server"),
        }
    }
}

async fn read_frame(reader: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let first = reader.read_u8().await?;
    let second = reader.read_u8().await?;
    assert_eq!(second & 0x80, 0, "a server masks nothing");
    let length = match second {
        126 => u64::from(reader.read_u16().await?),
        127 => reader.read_u64().await?,
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    reader.read_exact(&mut payload).await?;
    Ok((first, payload))
}

const LIVES: &[u8] = b"lives";
