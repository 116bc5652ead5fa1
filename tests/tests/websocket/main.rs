//! A judge of the socket: what RFC 6455 asks of a server, over bare TCP, on the path of every connection with an echo
//! behind it.
//!
//! The cases are the main ones of the Autobahn suite, by its numbers; `examples/autobahn_echo` says how to run the
//! whole of it. Left out is what Windlass does not have: binary messages and compression.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod wire;

use windlass::prelude::*;

use wire::{BINARY, CLOSE, CONTINUE, Heard, PING, PONG, Socket, TEXT, close, frame, raw_frame, text};

#[derive(Clone, Default, Serialize)]
struct Nothing {}

/// Frames to send, and what must come back; without a close at the end the connection must still be alive.
type Case = (&'static str, Vec<Vec<u8>>, Vec<Heard>);

async fn serve() -> std::net::SocketAddr {
    let server = App::new(Nothing::default).echo().bind("127.0.0.1:0").await.unwrap();
    let address = server.addr();
    tokio::spawn(server.run_until(std::future::pending::<()>()));
    address
}

async fn judge(cases: Vec<Case>) {
    let address = serve().await;
    let mut wrong = Vec::new();
    for (name, sent, expected) in cases {
        // Whole, and octet by octet as a slow network brings it.
        let bytes = sent.concat();
        for chop in [bytes.len().max(1), if bytes.len() <= 200 { 1 } else { 997 }] {
            let mut socket = Socket::connect(address).await;
            let heard = socket.exchange(&bytes, chop, expected.len()).await;
            if heard != expected {
                wrong.push(format!("{name} in pieces of {chop}:\n  expected {expected:?}\n  heard    {heard:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn echo(message: &str) -> Heard {
    Heard::Text(message.to_owned())
}

const BROKEN: Heard = Heard::Close(Some(1002));
const NOT_UTF8: Heard = Heard::Close(Some(1007));

/// Autobahn 1.1: lengths in 7, 16 and 64 bits.
#[tokio::test]
async fn texts_of_every_kind_of_length_come_back() {
    let cases = [0, 125, 126, 127, 128, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537].map(|length| {
        let message = "*".repeat(length);
        ("1.1", vec![text(&message)], vec![echo(&message)])
    });
    judge(cases.to_vec()).await;
}

/// Autobahn 2.
#[tokio::test]
async fn pings_are_answered_in_order_and_pongs_are_not() {
    let long = [0xfe; 125];
    let pings: Vec<_> = (0..10_u8).map(|number| frame(true, PING, &[number])).collect();
    let pongs: Vec<_> = (0..10_u8).map(|number| Heard::Pong(vec![number])).collect();
    judge(vec![
        ("2.1", vec![frame(true, PING, b"")], vec![Heard::Pong(vec![])]),
        ("2.4", vec![frame(true, PING, &long)], vec![Heard::Pong(long.to_vec())]),
        ("2.5", vec![frame(true, PING, &[0xfe; 126])], vec![BROKEN]),
        ("2.7", vec![frame(true, PONG, b"")], vec![]),
        ("2.9", vec![frame(true, PONG, b"unasked"), frame(true, PING, b"x")], vec![Heard::Pong(b"x".to_vec())]),
        ("2.10", pings, pongs),
    ])
    .await;
}

/// Autobahn 3 and 4: what is reserved.
#[tokio::test]
async fn reserved_bits_and_opcodes_end_the_connection_after_what_was_right() {
    let mut cases: Vec<Case> = Vec::new();
    for bits in 1..8 {
        let wrong = raw_frame(0x80 | bits << 4 | TEXT, b"no");
        cases.push(("3", vec![text("yes"), wrong, frame(true, PING, b"")], vec![echo("yes"), BROKEN]));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"no"] {
            let sent = vec![text("yes"), frame(true, opcode, payload), frame(true, PING, b"")];
            cases.push(("4", sent, vec![echo("yes"), BROKEN]));
        }
    }
    let mut unmasked = vec![0x80 | TEXT, 2];
    unmasked.extend_from_slice(b"no");
    cases.push(("unmasked, section 5.1", vec![unmasked], vec![BROKEN]));
    judge(cases).await;
}

/// Autobahn 5.
#[tokio::test]
async fn fragments_are_joined_and_control_frames_come_between() {
    let (start, middle, end) =
        (frame(false, TEXT, b"one"), frame(false, CONTINUE, b"two"), frame(true, CONTINUE, b"three"));
    let ping = frame(true, PING, b"ping");
    let pong = Heard::Pong(b"ping".to_vec());
    let all = echo("onetwothree");
    let empty = frame(false, CONTINUE, b"");
    judge(vec![
        ("5.1", vec![frame(false, PING, b"a"), frame(true, CONTINUE, b"b")], vec![BROKEN]),
        ("5.2", vec![frame(false, PONG, b"a"), frame(true, CONTINUE, b"b")], vec![BROKEN]),
        ("5.3", vec![start.clone(), end.clone()], vec![echo("onethree")]),
        ("5.6", vec![start.clone(), ping.clone(), middle.clone(), end.clone()], vec![pong.clone(), all.clone()]),
        ("5.8", vec![start.clone(), ping.clone(), end.clone()], vec![pong.clone(), echo("onethree")]),
        ("5.9", vec![end.clone(), text("no")], vec![BROKEN]),
        ("5.12", vec![middle.clone(), text("no")], vec![BROKEN]),
        ("5.15", vec![start.clone(), end.clone(), middle.clone(), text("no")], vec![echo("onethree"), BROKEN]),
        ("5.18", vec![start.clone(), frame(true, TEXT, b"two")], vec![BROKEN]),
        ("5.19", vec![start.clone(), middle, ping.clone(), ping, end.clone()], vec![pong.clone(), pong, all]),
        ("6.1.2", vec![frame(false, TEXT, b""), empty.clone(), frame(true, CONTINUE, b"")], vec![echo("")]),
        ("6.1.3", vec![frame(false, TEXT, b""), empty, end], vec![echo("three")]),
    ])
    .await;
}

/// Autobahn 6: UTF-8, whole and cut within characters.
#[tokio::test]
async fn texts_are_utf_8_and_nothing_else() {
    let mut cases: Vec<Case> = Vec::new();
    for right in [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{0}",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
    ] {
        cases.push(("6.2", vec![text(right)], vec![echo(right)]));
        let bytes = right.as_bytes();
        let mut cut = vec![frame(false, TEXT, b"")];
        cut.extend(bytes.iter().map(|byte| frame(false, CONTINUE, &[*byte])));
        cut.push(frame(true, CONTINUE, b""));
        cases.push(("6.2.3", cut, vec![echo(right)]));
    }
    let wrong: [&[u8]; 15] = [
        &[0x80],
        &[0xbf],
        &[0xc0, 0xaf],
        &[0xc1, 0xbf],
        &[0xe0, 0x80, 0xaf],
        &[0xf0, 0x80, 0x80, 0xaf],
        &[0xe0, 0x9f, 0xbf],
        &[0xf0, 0x8f, 0xbf, 0xbf],
        &[0xed, 0xa0, 0x80],
        &[0xed, 0xbf, 0xbf],
        &[0xf4, 0x90, 0x80, 0x80],
        &[0xf8, 0x88, 0x80, 0x80, 0x80],
        &[0xfe],
        &[0xff],
        &[0xce],
    ];
    for sequence in wrong {
        // At every place: at the start, inside, at the end, in the first fragment and in a later one.
        for before in ["", "a", "κόσμε", "ab€"] {
            let bytes = [before.as_bytes(), sequence].concat();
            cases.push(("6.3", vec![frame(true, TEXT, &bytes), frame(true, PING, b"")], vec![NOT_UTF8]));
            let fragments = vec![frame(false, TEXT, before.as_bytes()), frame(true, CONTINUE, sequence)];
            cases.push(("6.4", fragments, vec![NOT_UTF8]));
        }
    }
    cases.push(("6.4.1", vec![frame(false, TEXT, b"ok"), frame(false, CONTINUE, &[0xf4, 0x90])], vec![NOT_UTF8]));
    judge(cases).await;
}

/// Autobahn 7: the close handshake.
#[tokio::test]
async fn a_close_is_answered_with_its_code_or_called_wrong() {
    let mut cases: Vec<Case> = vec![
        ("7.1.1", vec![text("a"), close(1000, b"")], vec![echo("a"), Heard::Close(Some(1000))]),
        ("7.1.2", vec![close(1000, b""), close(1000, b"")], vec![Heard::Close(Some(1000))]),
        ("7.1.3", vec![close(1000, b""), frame(true, PING, b"late")], vec![Heard::Close(Some(1000))]),
        ("7.1.4", vec![close(1000, b""), text("late")], vec![Heard::Close(Some(1000))]),
        (
            "7.1.5",
            vec![frame(false, TEXT, b"a"), close(1000, b""), frame(true, CONTINUE, b"b")],
            vec![Heard::Close(Some(1000))],
        ),
        ("7.3.1", vec![frame(true, CLOSE, b"")], vec![Heard::Close(None)]),
        ("7.3.2", vec![frame(true, CLOSE, b"a")], vec![BROKEN]),
        ("7.3.4", vec![close(1000, b"Hello World!")], vec![Heard::Close(Some(1000))]),
        ("7.3.5", vec![close(1000, &[b'*'; 123])], vec![Heard::Close(Some(1000))]),
        ("7.3.6", vec![close(1000, &[b'*'; 124])], vec![BROKEN]),
        ("7.5.1", vec![close(1000, &[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xff])], vec![NOT_UTF8]),
        ("5.5.1, no fragments", vec![frame(false, CLOSE, &1000_u16.to_be_bytes())], vec![BROKEN]),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(("7.7", vec![close(code, b"")], vec![Heard::Close(Some(code))]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(("7.9", vec![close(code, b"")], vec![BROKEN]));
    }
    judge(cases).await;
}

/// Autobahn 9 and 10: large messages, whole and in fragments.
#[tokio::test]
async fn large_texts_come_back_whole() {
    let large = "BAsd7&jh23".repeat(420_000);
    let fragments = |size: usize| -> Vec<Vec<u8>> {
        let message = &large.as_bytes()[..1 << 20];
        let count = message.len().div_ceil(size);
        let kind = |at| if at == 0 { TEXT } else { CONTINUE };
        message.chunks(size).enumerate().map(|(at, piece)| frame(at + 1 == count, kind(at), piece)).collect()
    };
    let mebibyte = &large[..1 << 20];
    judge(vec![
        ("9.1", vec![text(&large)], vec![echo(&large)]),
        ("9.3", fragments(4_096), vec![echo(mebibyte)]),
        ("9.3", fragments(65_536), vec![echo(mebibyte)]),
        ("10.1", fragments(1_300), vec![echo(mebibyte)]),
    ])
    .await;
}

/// Windlass speaks text; protocol.md section 14.
#[tokio::test]
async fn a_binary_message_is_none_of_the_protocol() {
    judge(vec![("1.2", vec![frame(true, BINARY, b"\x01")], vec![Heard::Close(Some(4400))])]).await;
}
