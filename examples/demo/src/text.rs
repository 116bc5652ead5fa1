//! Example 6, streaming text: a callback emits tokens, and each is appended to a string of the state.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use windlass::prelude::*;

use crate::{Demo, DemoApp};

#[derive(Clone, Deserialize, Serialize, TS)]
pub(crate) struct Text {
    body: String,
    tokens: usize,
    total: usize,
    running: bool,
    /// Counts the streams, so that what an old one still delivers is not taken for the new one's.
    stream: Private<u64>,
}

impl Default for Text {
    fn default() -> Self {
        Self { body: String::new(), tokens: 0, total: tokens().count(), running: false, stream: Private::new(0) }
    }
}

pub(crate) fn register(app: DemoApp) -> DemoApp {
    app.action("start_text", start).action("stop_text", |state, cx, ()| stop(state, cx)).action(
        "clear_text",
        |state, cx, ()| {
            stop(state, cx);
            clear(&mut state.text);
        },
    )
}

fn start(state: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
    let text = &mut state.text;
    if text.running {
        return Ok(());
    }
    if text.tokens == text.total {
        clear(text);
    }
    text.running = true;
    *text.stream += 1;
    let (stream, from) = (*text.stream, text.tokens);
    cx.long_callback("text", move |job| emit(job, from))
        .on_partial(move |state, _cx, token: String| {
            let text = &mut state.text;
            if *text.stream == stream {
                text.body.push_str(&token);
                text.tokens += 1;
            }
        })
        .on_status(move |state, _cx, _end| {
            if *state.text.stream == stream {
                state.text.running = false;
            }
        })
        .start()?;
    Ok(())
}

/// A stream whose server has ended is one that was stopped: it goes on where it was.
pub(crate) fn restore(state: &mut Demo) {
    state.text.running = false;
}

fn stop(state: &mut Demo, cx: &mut Cx<Demo>) {
    cx.cancel("text");
    state.text.running = false;
    *state.text.stream += 1;
}

fn clear(text: &mut Text) {
    text.body.clear();
    text.tokens = 0;
}

/// Runs on a worker thread; goes on from where the last stream was stopped.
fn emit(job: &Job, from: usize) -> Result {
    let began = Instant::now();
    for (sent, token) in (1..).zip(tokens().skip(from)) {
        job.emit(token)?;
        let due = began + TOKEN_PERIOD * sent;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn tokens() -> impl Iterator<Item = &'static str> {
    STORY.split_inclusive([' ', '\n'])
}

/// Fifty tokens a second.
const TOKEN_PERIOD: Duration = Duration::from_millis(20);

const STORY: &str = include_str!("story.txt");
