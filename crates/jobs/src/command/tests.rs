//! Commands as jobs of a pool: what they tell, how they end, and what is left of them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::job::{JobHandle, Spec};
use crate::options::PoolOptions;
use crate::pool::Pool;
use crate::report::{End, Report};

/// A folder of its own for a test, which goes with it.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: env::temp_dir().join(format!("windlass-test-{}-{n}", std::process::id())) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

type Told = Report<Option<Box<RawValue>>, CommandError>;
type Ended = End<Option<Box<RawValue>>, CommandError>;

struct Stage {
    pool: Pool,
    folder: Arc<RunFolder>,
    _scratch: Scratch,
}

impl Stage {
    fn new() -> Self {
        let scratch = Scratch::new();
        let folder = Arc::new(RunFolder::open(&scratch.path).unwrap());
        Self { pool: Pool::new(PoolOptions { threads: 4, ..PoolOptions::default() }), folder, _scratch: scratch }
    }

    fn start(&self, command: &Command, input: CommandInput, spec: Spec) -> (JobHandle, Receiver<Told>) {
        let command = command.ready(&self.folder).unwrap();
        let (tx, rx) = mpsc::sync_channel(4096);
        let sink = move |report| {
            let _ = tx.send(report);
        };
        (self.pool.submit(spec, move |job| command.run(job, &input), sink).unwrap(), rx)
    }

    fn run(&self, command: &Command, input: &impl Serialize) -> (JobHandle, Ended) {
        let (job, rx) = self.start(command, CommandInput::new(input).unwrap(), Spec::new("test", 1));
        (job, end(&rx))
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(self.folder.path()).unwrap().next().is_none()
    }
}

fn end(rx: &Receiver<Told>) -> Ended {
    match rx.iter().last() {
        Some(Report::Ended(end)) => end,
        other => panic!("{other:?}"),
    }
}

fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script)
}

fn failure(end: Ended) -> CommandError {
    match end {
        End::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn result(end: Ended) -> String {
    match end {
        End::Done(result) => result.map_or("nothing".to_owned(), |result| result.get().to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_gets_its_input_and_gives_progress_partial_results_a_log_and_its_result() {
    let stage = Stage::new();
    let script = r#"read -r line
        echo '{"progress": [1, 4], "text": "begun"}'
        echo '{"partial": "a"}'; echo 'plain'; echo '{"partial": "b", "log": "said"}'
        echo 'error' >&2
        echo "{\"result\": $line}""#;
    let (job, ended) = stage.run(&sh(script), &serde_json::json!({"name": "Ü", "n": [1, 2]}));
    assert_eq!(result(ended), r#"{"n":[1,2],"name":"Ü"}"#);
    let partials: Vec<_> = job.take_partials().iter().map(|partial| partial.get().to_owned()).collect();
    assert_eq!(partials, [r#""a""#, r#""b""#]);
    assert_eq!((job.progress().steps, job.progress().text.as_deref()), (Some((1, 4)), Some("begun")));
    let mut log: Vec<_> = job.log_tail().iter().map(|line| line.to_string()).collect();
    log.sort();
    assert_eq!(log, ["error", "plain", "said"]);
    assert!(stage.is_clean());
}

#[test]
fn a_command_without_a_result_is_done_and_one_that_reads_nothing_is_not_held_up() {
    let stage = Stage::new();
    assert_eq!(result(stage.run(&Command::new("true"), &"x".repeat(1 << 20)).1), "nothing");
    // What is larger than a pipe arrives whole.
    let (_, ended) = stage.run(&sh(r#"echo "{\"result\": $(wc -c)}""#), &"x".repeat(1 << 20));
    assert_eq!(result(ended), ((1 << 20) + 3).to_string());
    let (_, ended) = stage.run(&sh(r#"printf '{"result": 1}'"#), &());
    assert_eq!(result(ended), "1", "the last line needs no line break");
}

#[test]
fn the_environment_is_bare_and_values_come_behind_two_dashes() {
    let stage = Stage::new();
    let (job, ended) = stage.run(&Command::new("env").env("MINE", "1").env("MINE", "2"), &());
    result(ended);
    let mut variables: Vec<_> = job.log_tail().iter().map(|line| line.to_string()).collect();
    variables.sort();
    assert!(variables.contains(&"MINE=2".to_owned()), "{variables:?}");
    let names: Vec<_> = variables.iter().filter_map(|variable| Some(variable.split_once('=')?.0)).collect();
    assert_eq!(names, ["LANG", "MINE", "PATH", "TMPDIR", "WINDLASS_ATTEMPT", "WINDLASS_KEY", "WINDLASS_RUN"]);

    let (job, ended) = stage.run(&sh(r#"cd "$TMPDIR" && touch left && ls -ld . && nice"#), &());
    result(ended);
    assert!(job.log_tail()[0].starts_with("drwx------"), "{:?}", job.log_tail());
    assert_eq!(&*job.log_tail()[1], "10", "sockets come first");
    assert!(stage.is_clean(), "what it has left in its temporary folder is gone");

    let input = CommandInput::new(&()).unwrap().arg("--version").unwrap().arg("$HOME `x`").unwrap();
    let (job, rx) = stage.start(&Command::new("printf").arg("%s|"), input, Spec::new("test", 1));
    result(end(&rx));
    assert_eq!(&*job.log_tail()[0], "--|--version|$HOME `x`|");
    assert!(CommandInput::new(&()).unwrap().arg("a\0b").is_err());
}

#[test]
fn settings_that_cannot_be_are_named() {
    let scratch = Scratch::new();
    let folder = Arc::new(RunFolder::open(&scratch.path).unwrap());
    let text = |command: Command| command.ready(&folder).unwrap_err().to_string();
    assert!(text(Command::new("no-such-program")).contains("no program no-such-program that can be run: install it"));
    assert!(text(Command::new("/etc/passwd")).contains("no program /etc/passwd that can be run"));
    assert!(text(Command::new("true").current_dir("/nowhere")).contains("/nowhere is no folder"));
    assert!(text(Command::new("true").env("A=B", "1")).contains("A=B cannot be a variable"));
    assert!(text(Command::new("true").env("WINDLASS_RUN", "1")).contains("WINDLASS_RUN cannot be a variable"));
    assert!(text(Command::new("true").arg("a\0b")).contains("holds a zero byte"));
    assert!(text(Command::new("true").arg("x".repeat(40_000))).contains("32768 bytes; give it more on its input"));
    assert!(text(Command::new("true").nice(20)).contains("not from 0 to 19"));
    let large = CommandInput::new(&"x".repeat(COMMAND_INPUT_BYTES_MAX));
    assert!(large.unwrap_err().to_string().contains("the input is 16777218 bytes, and may be 16777216"));
}

#[test]
fn a_crash_is_a_failure_with_status_or_signal_and_the_end_of_the_log() {
    let stage = Stage::new();
    let (_, ended) = stage.run(&sh("echo 'no such file' >&2; exit 3"), &());
    assert_eq!(failure(ended).to_string(), "the command ended with status 3; its log ends:\nno such file");
    let (_, ended) = stage.run(&sh("kill -SEGV $$"), &());
    match failure(ended) {
        CommandError::Ended { exit, .. } => assert_eq!(exit, Exit::Signal(libc::SIGSEGV)),
        other => panic!("{other:?}"),
    }
    let (_, ended) = stage.run(&sh(r#"echo '{"result": 1}'; exit 1"#), &());
    assert!(matches!(failure(ended), CommandError::Ended { .. }), "a result counts only with status 0");
    let said = r#"echo '{"error": "no column x", "code": "no_column"}'; echo '{"result": 1}'"#;
    match failure(stage.run(&sh(said), &()).1) {
        CommandError::Refused { code, text } => assert_eq!((&*code, &*text), ("no_column", "no column x")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_cannot_be_started_says_why() {
    let stage = Stage::new();
    let program = stage.folder.path().join("broken");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let text = failure(stage.run(&Command::new(&program), &()).1).to_string();
    assert!(text.starts_with("the command could not be started, to run its program: No such file"), "{text}");
    fs::remove_file(&program).unwrap();
    assert!(stage.is_clean());
}

#[test]
fn a_bad_line_ends_the_command_at_once_and_says_which_line_and_why() {
    let stage = Stage::new();
    for (line, expected) in [
        (r#"'{"progres": 1}'"#, "line 2 on the command's standard output begins with a brace and is no message"),
        (r"'{\377}'", "it is not UTF-8"),
        ("'{%s' \"$(head -c 100000 /dev/zero | tr '\\0' x)\"", "it is longer than 65536 bytes"),
    ] {
        let script = format!("echo begun; printf {line}; echo; exec sleep 600");
        let text = failure(stage.run(&sh(&script), &()).1).to_string();
        assert!(text.contains(expected), "{text}");
    }
    assert!(stage.is_clean());
}

#[test]
fn a_callback_that_is_slow_to_take_partial_results_holds_up_the_output_and_not_the_log() {
    let stage = Stage::new();
    let script = r#"for i in $(seq 2000); do echo "{\"partial\": $i}"; echo $i >&2; done"#;
    let (job, rx) = stage.start(&sh(script), CommandInput::new(&()).unwrap(), Spec::new("test", 1));
    let mut taken = Vec::new();
    let mut ended = None;
    for report in &rx {
        match report {
            Report::Partials => taken.extend(job.take_partials().iter().map(|n| n.get().parse::<u32>().unwrap())),
            Report::Ended(end) => ended = Some(end),
            _ => {}
        }
    }
    taken.extend(job.take_partials().iter().map(|n| n.get().parse::<u32>().unwrap()));
    result(ended.unwrap());
    assert_eq!(taken, (1..=2000).collect::<Vec<_>>(), "in order and none lost");
}

#[test]
fn a_cancelled_command_may_clean_up_and_a_deaf_one_is_killed() {
    let stage = Stage::new();
    let polite = sh(r#"trap 'echo cleaned >&2; exit 0' TERM; echo '{"progress": 0.5}'; while :; do sleep 0.01; done"#);
    let deaf = sh(r#"trap '' TERM; echo '{"progress": 0.5}'; while :; do sleep 0.01; done"#);
    for (command, log) in [(polite, &["cleaned"][..]), (deaf.grace(Duration::from_millis(50)), &[])] {
        let (job, rx) = stage.start(&command, CommandInput::new(&()).unwrap(), Spec::new("test", 1));
        while !matches!(rx.recv().unwrap(), Report::Progress(_)) {}
        assert!(job.cancel());
        assert!(matches!(end(&rx), End::Cancelled));
        let lines: Vec<_> = job.log_tail().iter().map(|line| line.to_string()).filter(|l| l != "Terminated").collect();
        assert_eq!(lines, log);
        assert!(stage.is_clean());
    }
}

#[test]
fn a_result_that_came_in_spite_of_a_cancel_is_the_result() {
    let stage = Stage::new();
    let script =
        r#"trap 'echo "{\"result\": \"late\"}"; exit 0' TERM; echo '{"progress": 0}'; while :; do sleep 0.01; done"#;
    let (job, rx) = stage.start(&sh(script), CommandInput::new(&()).unwrap(), Spec::new("test", 1));
    while !matches!(rx.recv().unwrap(), Report::Progress(_)) {}
    job.cancel();
    assert_eq!(result(end(&rx)), r#""late""#);
}

#[test]
fn timeouts_end_a_command_and_a_silent_one_too() {
    let stage = Stage::new();
    let spec = Spec::new("silent", 1).soft_timeout(Duration::from_millis(50));
    let (_, rx) = stage.start(&sh("exec sleep 600"), CommandInput::new(&()).unwrap(), spec);
    assert!(matches!(end(&rx), End::TimedOut));
    let deaf = sh("trap '' TERM; while :; do sleep 0.01; done").grace(Duration::from_secs(600));
    let spec = Spec::new("deaf", 1).soft_timeout(Duration::from_millis(20)).hard_timeout(Duration::from_millis(80));
    let (_, rx) = stage.start(&deaf, CommandInput::new(&()).unwrap(), spec);
    assert!(matches!(end(&rx), End::TimedOut));
    // Its thread is free as soon as it is gone, which does not wait for the grace.
    stage.pool.shutdown(Duration::from_secs(30));
    assert!(stage.is_clean());
}

#[test]
fn a_command_is_tried_again_with_the_same_key() {
    let stage = Stage::new();
    let retry = crate::Retry { first: Duration::from_millis(1), ..crate::Retry::times(3) };
    let mut spec = Spec::new("again", 1).retry(retry);
    spec.key = "k1".into();
    let script = r#"[ "$WINDLASS_ATTEMPT" = 3 ] || exit 1; echo "{\"result\": \"$WINDLASS_KEY $WINDLASS_ATTEMPT\"}""#;
    let (_, rx) = stage.start(&sh(script), CommandInput::new(&()).unwrap(), spec);
    assert_eq!(result(end(&rx)), r#""k1 3""#);
}

#[test]
fn without_a_supervisor_the_process_group_is_ended() {
    let scratch = Scratch::new();
    let folder = RunFolder::open(&scratch.path).unwrap();
    let command = sh("echo out; echo err >&2; sleep 600 & exit 4").ready(&Arc::new(folder)).unwrap();
    let (input, _input) = std::io::pipe().unwrap();
    let (mut output, its_output) = std::io::pipe().unwrap();
    let mut group =
        bare::start(&command.request, [input.into(), its_output.try_clone().unwrap().into(), its_output.into()])
            .unwrap();
    use launch::{Launch, Notice};
    let Some(Notice::Started { pid }) = group.first_notice() else { panic!("it starts") };
    match group.take_notice().unwrap() {
        Some(Notice::Exited(exit)) => assert_eq!(exit, Exit::Status(4)),
        other => panic!("{other:?}"),
    }
    assert!(system::is_there(-pid), "its child is there");
    group.kill();
    assert!(matches!(group.take_notice().unwrap(), Some(Notice::Gone)));
    assert!(group.take_notice().unwrap().is_none());
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut output, &mut printed).unwrap();
    assert_eq!(printed, "out\nerr\n");
}
