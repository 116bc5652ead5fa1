//! A WebSocket without a memory of its own: what an idle one needs is a stream and a few counters.
//!
//! Reading and answering is tungstenite's. Its context with its buffer is the thread's, and stays with a socket only
//! while a message is under way, an answer could not leave, or the connection is being closed. Frames of ours go past
//! it: header and payload are given to the stream as they are, and nothing keeps a copy.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::outlet::Outlet;

/// The server's side of a WebSocket after its handshake.
pub(crate) struct Socket<IO> {
    io: IO,
    /// The context, while it holds something of this socket's.
    context: Option<Box<WebSocketContext>>,
    message_bytes_max: usize,
    /// Bytes that were read from the stream.
    read: u64,
    /// How many of them belong to messages that were given out, counted as short as each can be: when it is all, the
    /// context holds nothing. A peer that sends fragments or long headers keeps a context of its own.
    given: u64,
    sending: Option<Sending>,
    /// The context may hold a pong or a close that has not left.
    answers: bool,
    /// The stream is to be flushed.
    unflushed: bool,
    /// The stream has taken as much as it takes, and wakes the task that wrote.
    is_full: bool,
    /// Reading has come to its end or to an error; there is nothing behind it.
    ended: bool,
}

/// A text for the peer.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) payload: Bytes,
    /// Bytes of its frame that have left already, those of the header among them.
    pub(crate) sent: usize,
}

impl<T: Into<Bytes>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { payload: text.into(), sent: 0 }
    }
}

/// A frame that is being written.
struct Sending {
    first_byte: u8,
    payload: Bytes,
    /// Bytes that have left, those of the header among them.
    sent: usize,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Socket<IO> {
    /// A socket on a stream of which `part` was already read.
    pub(crate) fn new(io: IO, part: Vec<u8>, message_bytes_max: usize) -> Self {
        let read = part.len() as u64;
        let config = || Some(config(message_bytes_max));
        let context = (read > 0).then(|| Box::new(WebSocketContext::from_partially_read(part, Role::Server, config())));
        Self {
            io,
            context,
            message_bytes_max,
            read,
            given: 0,
            sending: None,
            answers: false,
            unflushed: false,
            is_full: false,
            ended: false,
        }
    }

    /// How many bytes have come, those of unfinished messages among them.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The next message; `None` when the connection has come to its end. Pings are answered, and given out as well.
    pub(crate) fn poll_read(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Message, WsError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let result = self.with_context(task, |context, wire| context.read(wire));
        match result {
            Ok(message) => {
                self.answers |= matches!(message, Message::Ping(_) | Message::Close(_));
                self.given += wire_len(message.len());
                Poll::Ready(Some(Ok(message)))
            }
            Err(error) if is_pending(&error) => Poll::Pending,
            Err(error) => {
                self.ended = true;
                let is_end = matches!(error, WsError::ConnectionClosed | WsError::AlreadyClosed);
                Poll::Ready((!is_end).then_some(Err(error)))
            }
        }
    }

    /// Writes what was begun until the stream has taken all of it. Ready at once when there is nothing.
    pub(crate) fn poll_write(&mut self, task: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let written = self.poll_write_all(task);
        self.is_full = written.is_pending();
        written
    }

    fn poll_write_all(&mut self, task: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        if self.sending.as_ref().is_some_and(|sending| sending.sent > 0) {
            ready!(self.poll_send(task))?;
        }
        if self.answers {
            match self.with_context(task, |context, wire| context.flush(wire)) {
                Err(error) if is_pending(&error) => return Poll::Pending,
                // The last word was sent; reading comes to the same end.
                Ok(()) | Err(WsError::ConnectionClosed) => self.answers = false,
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.lay_aside();
        }
        ready!(self.poll_send(task))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(task))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Sending { first_byte, payload, sent }) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let (header, header_len) = header(*first_byte, payload.len());
        let len = header_len + payload.len();
        while *sent < len {
            let io = Pin::new(&mut self.io);
            let written = if len <= SMALL {
                ready!(io.poll_write(task, &small(&header[..header_len], payload)[*sent..len]))?
            } else {
                let of_header = &header[(*sent).min(header_len)..header_len];
                let of_payload = &payload[sent.saturating_sub(header_len)..];
                ready!(io.poll_write_vectored(task, &[IoSlice::new(of_header), IoSlice::new(of_payload)]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += written;
        }
        self.sending = None;
        Poll::Ready(Ok(()))
    }

    /// Begins a text; [`Socket::poll_write`] must have said that nothing is under way.
    pub(crate) fn send(&mut self, text: Text) {
        self.begin(FIN | TEXT, text.payload, text.sent);
    }

    /// Begins a ping, as [`Socket::send`].
    pub(crate) fn ping(&mut self) {
        self.begin(FIN | PING, Bytes::new(), 0);
    }

    fn begin(&mut self, first_byte: u8, payload: Bytes, sent: usize) {
        debug_assert!(self.sending.is_none(), "one frame at a time");
        self.sending = Some(Sending { first_byte, payload, sent });
        self.unflushed = true;
    }

    /// Begins the closing handshake, as [`Socket::send`]. Only control frames come after it.
    pub(crate) fn close(&mut self, task: &mut Context<'_>, close: CloseFrame) -> Result<(), WsError> {
        self.answers = true;
        match self.with_context(task, |context, wire| context.close(wire, Some(close))) {
            Err(error) if !is_pending(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether what is under way waits until the stream takes more.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether [`Socket::poll_write`] has something to do.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sending.is_some() || self.answers || self.unflushed
    }

    /// Runs a step of the context's, which is the thread's or the one that was kept.
    fn with_context<T>(
        &mut self,
        task: &mut Context<'_>,
        step: impl FnOnce(&mut WebSocketContext, &mut Wire<'_, '_, IO>) -> Result<T, WsError>,
    ) -> Result<T, WsError> {
        let mut context = self.context.take().unwrap_or_else(|| {
            let of_this = config(self.message_bytes_max);
            let Some(mut spare) = SPARE.take() else {
                return Box::new(WebSocketContext::new(Role::Server, Some(of_this)));
            };
            if spare.get_config().max_message_size != of_this.max_message_size {
                spare.set_config(|config| *config = of_this);
            }
            spare
        });
        let is_held_up = self.sending.as_ref().is_some_and(|sending| sending.sent > 0);
        let mut wire = Wire { io: &mut self.io, task, read: &mut self.read, is_held_up, is_full: false };
        let result = step(&mut context, &mut wire);
        self.answers |= wire.is_full;
        self.context = Some(context);
        if matches!(result, Err(ref error) if is_pending(error)) {
            self.lay_aside();
        }
        result
    }

    /// Gives the context back to the thread when it holds nothing.
    fn lay_aside(&mut self) {
        if self.read != self.given || self.answers {
            return;
        }
        if let Some(context) = self.context.take_if(|context| context.can_write()) {
            SPARE.set(Some(context));
        }
    }
}

/// The stream as the context sees it, for the length of one step.
struct Wire<'a, 'b, IO> {
    io: &'a mut IO,
    task: &'a mut Context<'b>,
    read: &'a mut u64,
    /// A frame of ours has left in part: nothing may come between.
    is_held_up: bool,
    /// Something could not be written.
    is_full: bool,
}

impl<IO: AsyncRead + Unpin> Read for Wire<'_, '_, IO> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.task, &mut into) {
            Poll::Ready(Ok(())) => {
                *self.read += into.filled().len() as u64;
                Ok(into.filled().len())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<IO: AsyncWrite + Unpin> Write for Wire<'_, '_, IO> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.is_held_up {
            true => Poll::Pending,
            false => Pin::new(&mut *self.io).poll_write(self.task, bytes),
        };
        self.or_later(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = Pin::new(&mut *self.io).poll_flush(self.task);
        self.or_later(flushed)
    }
}

impl<IO> Wire<'_, '_, IO> {
    fn or_later<T>(&mut self, result: Poll<io::Result<T>>) -> io::Result<T> {
        match result {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.is_full = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }
}

/// A bare socket whose other half is at the outlet, where others may write to it as well.
pub(crate) struct Shared {
    pub(crate) read: OwnedReadHalf,
    pub(crate) outlet: Arc<Outlet>,
}

impl AsyncRead for Shared {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(task, into)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outlet.with_wire(|wire| Pin::new(wire).poll_write(task, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outlet.with_wire(|wire| Pin::new(wire).poll_write_vectored(task, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _task: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What a socket has taken is on its way.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet.with_wire(|wire| Pin::new(wire).poll_shutdown(task))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.outlet.hang_up();
    }
}

thread_local! {
    /// A context that holds nothing of anybody's.
    static SPARE: Cell<Option<Box<WebSocketContext>>> = const { Cell::new(None) };
}

fn is_pending(error: &WsError) -> bool {
    matches!(error, WsError::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

/// The header of a frame of ours and its length. RFC 6455, section 5.2.
fn header(first_byte: u8, len: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = first_byte;
    let header_len = match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len), _) if len < LEN_16 => {
            header[1] = len;
            2
        }
        (_, Ok(len)) => {
            header[1] = LEN_16;
            header[2..4].copy_from_slice(&len.to_be_bytes());
            4
        }
        _ => {
            header[1] = LEN_64;
            header[2..].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    (header, header_len)
}

/// A small frame in one piece: one plain write of a copy costs less than a vectored one.
fn small(header: &[u8], payload: &[u8]) -> [u8; SMALL] {
    let mut small = [0; SMALL];
    small[..header.len()].copy_from_slice(header);
    small[header.len()..][..payload.len()].copy_from_slice(payload);
    small
}

/// Writes as much of a text's frame as the stream takes at once: how many bytes that is, those of the header among them.
pub(crate) fn try_write(wire: &OwnedWriteHalf, text: &[u8]) -> io::Result<usize> {
    let (header, header_len) = header(FIN | TEXT, text.len());
    let header = &header[..header_len];
    match header_len + text.len() {
        len if len <= SMALL => wire.try_write(&small(header, text)[..len]),
        _ => wire.try_write_vectored(&[IoSlice::new(header), IoSlice::new(text)]),
    }
}

/// The bytes of a text's frame.
pub(crate) fn frame_len(text: usize) -> usize {
    header(FIN | TEXT, text).1 + text
}

/// The fewest bytes that a message of a client can have had on the wire.
pub(crate) fn wire_len(len: usize) -> u64 {
    (header(0, len).1 + MASK + len) as u64
}

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const PING: u8 = 9;
/// Lengths that say how long the length is which follows.
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;
const MASK: usize = 4;
/// Several actions at once; tungstenite clears as much at each read.
const READ_BUFFER: usize = 1024;
/// Up to this, copying a frame beside its header is cheaper than two slices.
const SMALL: usize = 256;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A frame of a client's, with a mask that changes nothing.
    fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let (mut bytes, len) = header(first_byte, payload.len());
        bytes[1] |= 0x80;
        [&bytes[..len], &[0; MASK], payload].concat()
    }

    fn pair() -> (DuplexStream, Socket<DuplexStream>) {
        let (peer, io) = duplex(64);
        (peer, Socket::new(io, Vec::new(), 4096))
    }

    async fn read(socket: &mut Socket<DuplexStream>) -> Message {
        poll_fn(|task| socket.poll_read(task)).await.unwrap().unwrap()
    }

    /// One look: whether there was a message.
    async fn look(socket: &mut Socket<DuplexStream>) -> Option<Message> {
        poll_fn(|task| match socket.poll_read(task) {
            Poll::Ready(message) => Poll::Ready(Some(message.unwrap().unwrap())),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn an_idle_socket_holds_no_context_and_one_with_half_a_message_does() {
        let (mut peer, mut socket) = pair();
        let hello = frame(FIN | TEXT, b"hello");
        peer.write_all(&hello).await.unwrap();
        assert_eq!(read(&mut socket).await, Message::text("hello"));
        assert!(look(&mut socket).await.is_none() && socket.context.is_none());

        peer.write_all(&hello[..4]).await.unwrap();
        assert!(look(&mut socket).await.is_none() && socket.context.is_some());
        let (mut another_peer, mut another) = pair();
        another_peer.write_all(&hello).await.unwrap();
        assert_eq!(read(&mut another).await, Message::text("hello"), "nothing of the other's");
        peer.write_all(&hello[4..]).await.unwrap();
        assert_eq!(read(&mut socket).await, Message::text("hello"));
        assert!(look(&mut socket).await.is_none() && socket.context.is_none());

        // Fragments are longer on the wire than one frame would be, which cannot be told from half a message.
        for (first_byte, part) in [(TEXT, b"hel"), (FIN, b"lo!")] {
            peer.write_all(&frame(first_byte, part)).await.unwrap();
        }
        assert_eq!(read(&mut socket).await, Message::text("hello!"));
        assert!(look(&mut socket).await.is_none() && socket.context.is_some());
    }

    #[tokio::test]
    async fn what_was_read_with_the_handshake_comes_first() {
        let (mut peer, io) = duplex(64);
        let hello = frame(FIN | TEXT, b"hello");
        let mut socket = Socket::new(io, hello[..3].to_vec(), 4096);
        peer.write_all(&hello[3..]).await.unwrap();
        assert_eq!(read(&mut socket).await, Message::text("hello"));
        assert!(look(&mut socket).await.is_none() && socket.context.is_none());
    }

    #[tokio::test]
    async fn a_pong_waits_for_the_end_of_the_frame_that_is_under_way() {
        let (mut peer, mut socket) = pair();
        let text = "x".repeat(300);
        socket.send(Bytes::from(text.clone()).into());
        let written = poll_fn(|task| Poll::Ready(socket.poll_write(task).is_ready())).await;
        assert!(!written && socket.is_full(), "the stream takes 64 bytes");
        peer.write_all(&frame(FIN | PING, b"?")).await.unwrap();
        assert_eq!(look(&mut socket).await, Some(Message::Ping("?".into())));
        assert!(look(&mut socket).await.is_none() && socket.has_unsent());
        let reading = async {
            let mut received = vec![0; 4 + 300 + 3];
            peer.read_exact(&mut received).await.unwrap();
            received
        };
        let (received, written) = tokio::join!(reading, poll_fn(|task| socket.poll_write(task)));
        written.unwrap();
        let expected = [&[0x81, LEN_16, 1, 44][..], text.as_bytes(), &[0x8a, 1, b'?']].concat();
        assert_eq!(received, expected);
        assert!(!socket.has_unsent() && socket.context.is_none());
    }

    #[test]
    fn headers_are_as_short_as_their_lengths_allow() {
        for (len, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            assert_eq!(header(FIN | TEXT, len).1, expected, "{len}");
        }
        assert_eq!(&header(FIN | TEXT, 0x0102).0[..4], [0x81, LEN_16, 1, 2]);
        assert_eq!(header(FIN | TEXT, 0x1_0203).0, [0x81, LEN_64, 0, 0, 0, 0, 0, 1, 2, 3]);
    }
}
