//! Shows a chat that streams: each word of an answer is appended to the state as a future emits it.
//!
//! Stop cancels the future, Regenerate runs another, and `/fail` shows how one that fails looks.

use windlass::Whole;
use windlass::prelude::*;

mod generator;

/// What a session holds.
#[derive(Clone, Default, Deserialize, Serialize, TS)]
pub struct Chat {
    messages: Vec<Message>,
    status: Status,
    last_id: Private<u64>,
}

#[derive(Clone, Deserialize, Serialize, TS)]
struct Message {
    id: u64,
    author: Author,
    text: String,
    /// Why there is no more of it.
    note: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
enum Author {
    You,
    Windlass,
}

/// What the last answer is doing.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
enum Status {
    #[default]
    Idle,
    Writing,
    Stopped,
    Failed,
}

#[derive(Deserialize, TS)]
struct Ask {
    text: String,
}

/// The app, with its page, to be served or nested.
pub fn app() -> App<Chat, Whole, Typed> {
    App::new(Chat::default)
        .typed()
        .action("ask", ask)
        .action("stop", |_, cx, ()| cx.cancel("answer"))
        .action("regenerate", regenerate)
        .action("clear", clear)
        .on_restore(|chat, _cx| chat.restore())
        .page(page!("page"))
}

fn ask(chat: &mut Chat, cx: &mut Cx<Chat>, ask: Ask) -> Result {
    let text = ask.text.trim();
    if text.is_empty() || text.len() > ASK_BYTES_MAX {
        return Err(Error::refuse("bad_question", format!("a question has 1 to {ASK_BYTES_MAX} bytes")));
    }
    chat.add(Author::You, text.to_owned());
    answer(chat, cx)
}

/// Answers the last question again, in other words.
fn regenerate(chat: &mut Chat, cx: &mut Cx<Chat>, (): ()) -> Result {
    if chat.status != Status::Writing && chat.messages.last().is_some_and(|last| last.author == Author::Windlass) {
        chat.messages.pop();
    }
    answer(chat, cx)
}

fn clear(chat: &mut Chat, cx: &mut Cx<Chat>, (): ()) {
    cx.cancel("answer");
    chat.messages.clear();
    chat.status = Status::Idle;
}

fn answer(chat: &mut Chat, cx: &mut Cx<Chat>) -> Result {
    if chat.status == Status::Writing {
        return Err(Error::refuse("writing", "an answer is being written: stop it first"));
    }
    let Some(question) = chat.messages.last().map(|last| last.text.clone()) else {
        return Err(Error::refuse("nothing_asked", "ask something first"));
    };
    let id = chat.add(Author::Windlass, String::new());
    chat.status = Status::Writing;
    cx.long_future("answer", move |job| write(job, question.clone(), id))
        .on_partial(move |chat, _cx, word: String| {
            if let Some(message) = chat.message(id) {
                message.text.push_str(&word);
            }
        })
        .on_status(move |chat, _cx, status| {
            let (status, note) = match status {
                windlass::Status::Done(()) => (Status::Idle, None),
                windlass::Status::Failed(error) => (Status::Failed, Some(error.text)),
                _ => (Status::Stopped, Some("stopped".to_owned())),
            };
            // A chat that was cleared meanwhile has no such message, and perhaps a newer answer.
            if let Some(message) = chat.message(id) {
                message.note = note;
                chat.status = status;
            }
        })
        .start()?;
    Ok(())
}

/// Writes an answer a word at a time. A model that is asked over a network would be awaited here in the same way.
async fn write(job: FutureJob, question: String, seed: u64) -> Result {
    let words = generator::answer(&question, seed);
    let many = words.len() as u64;
    for (n, word) in (1..).zip(words) {
        tokio::time::sleep(WORD).await;
        if question == "/fail" && n == 8 {
            return Err(Error::refuse("lost_thread", "the generator lost its thread"));
        }
        job.emit(word).await?;
        job.progress(n, many);
    }
    Ok(())
}

impl Chat {
    /// Adds a message, and drops the oldest question with its answer when there are too many.
    fn add(&mut self, author: Author, text: String) -> u64 {
        *self.last_id += 1;
        if self.messages.len() >= MESSAGES_MAX {
            self.messages.drain(..2);
        }
        self.messages.push(Message { id: *self.last_id, author, text, note: None });
        *self.last_id
    }

    /// An answer that was being written when the server ended is never written to its end.
    fn restore(&mut self) {
        if self.status == Status::Writing {
            self.status = Status::Stopped;
            if let Some(answer) = self.messages.last_mut() {
                answer.note = Some("stopped: the server was started again".to_owned());
            }
        }
    }

    fn message(&mut self, id: u64) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| message.id == id)
    }
}

/// About as fast as one reads.
const WORD: Duration = Duration::from_millis(60);
const ASK_BYTES_MAX: usize = 2_000;
const MESSAGES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_streams_is_stopped_and_written_again() {
        let mut t = app().test();
        t.send("ask", Question { text: "what hauls the anchor?" });
        assert_eq!(t.document()["status"], "writing");
        t.jobs().emit("answer", "The ");
        t.jobs().emit("answer", "windlass ");
        assert_eq!(t.document()["messages"][1]["text"], "The windlass ");
        t.send("stop", ());
        assert_eq!(t.document()["status"], "stopped");
        assert_eq!(t.document()["messages"][1]["note"], "stopped");

        t.send("regenerate", ());
        assert_eq!(t.document()["messages"].as_array().map(Vec::len), Some(2), "it takes the place of the first");
        t.jobs().done("answer", ());
        assert_eq!(t.document()["status"], "idle");
    }

    #[test]
    fn an_answer_that_fails_says_why_and_can_be_asked_for_again() {
        let mut t = app().test();
        t.send("ask", Question { text: "/fail" });
        t.jobs().fail("answer", Error::refuse("lost_thread", "the generator lost its thread"));
        assert_eq!(t.document()["status"], "failed");
        assert_eq!(t.document()["messages"][1]["note"], "the generator lost its thread");
        t.send("regenerate", ());
        assert_eq!(t.document()["status"], "writing");
    }

    #[test]
    fn what_is_cleared_while_it_is_written_stays_cleared() {
        let mut t = app().test();
        t.send("ask", Question { text: "hello" });
        t.send("clear", ());
        assert_eq!(t.document()["messages"].as_array().map(Vec::len), Some(0));
        assert_eq!(t.document()["status"], "idle");
    }

    #[derive(Serialize)]
    struct Question {
        text: &'static str,
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p chat -o examples/chat/app.d.ts`");
    }
}
