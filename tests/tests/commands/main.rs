//! External commands of a real server: what becomes of them when it dies, and what the guide tells those who write
//! scripts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod guide;
mod hauler;

use std::time::{Duration, Instant};

use hauler::{Hauler, until};

/// A script whose grandchild is deaf to TERM, in a session of its own, holds none of its parent's files, and has lost its
/// parent.
const ESCAPES: &str = r#"
    sh -c 'trap "" TERM; setsid sh -c "trap \"\" TERM; echo \$\$ >\"$FILES/grandchild.new\"; mv \"$FILES/grandchild.new\" \"$FILES/grandchild\"; exec sleep 600" </dev/null >/dev/null 2>&1 &'
    trap "" TERM
    echo $$ >"$FILES/leader.new"; mv "$FILES/leader.new" "$FILES/leader"
    while :; do sleep 0.05; done
"#;

/// What a command has started does not outlive its server, `kill -9` included. The two seconds are the promise itself.
#[tokio::test]
async fn two_seconds_after_kill_9_of_the_server_nothing_of_its_commands_is_left() {
    let mut hauler = Hauler::start(ESCAPES).await;
    let (leader, grandchild) = (hauler.pid("leader").await, hauler.pid("grandchild").await);
    assert!(hauler::is_running(leader) && hauler::is_running(grandchild));
    assert_ne!(hauler::group(leader), hauler::group(grandchild), "it has left the group");
    hauler.kill();
    let killed = Instant::now();
    until(killed + Duration::from_secs(2), || !hauler::is_running(leader) && !hauler::is_running(grandchild)).await;
    until(killed + Duration::from_secs(2), || hauler.processes().is_empty()).await;
}

/// A server that is asked to end gives its commands their grace and leaves nothing, neither processes nor folders.
#[tokio::test]
async fn the_end_of_the_server_is_the_end_of_its_commands() {
    let mut hauler = Hauler::start(ESCAPES).await;
    let grandchild = hauler.pid("grandchild").await;
    hauler.stop().await;
    assert!(!hauler::is_running(grandchild));
    assert!(hauler.processes().is_empty());
    assert_eq!(hauler.runs(), 0);
}

/// When all were killed at once, and nobody was left to end what had escaped, the next start does it before it listens.
#[tokio::test]
async fn the_next_start_ends_what_a_kill_of_everything_has_left() {
    let mut hauler = Hauler::start(ESCAPES).await;
    let grandchild = hauler.pid("grandchild").await;
    // The supervisor, the warden and the server, at a moment at which none can act for another.
    let guards = hauler.guards();
    assert_eq!(guards.len(), 2, "a supervisor and a warden");
    for guard in &guards {
        hauler::signal(*guard, "STOP");
    }
    hauler.kill();
    for guard in &guards {
        hauler::signal(*guard, "KILL");
    }
    until(Instant::now() + Duration::from_secs(20), || guards.iter().all(|guard| !hauler::is_running(*guard))).await;
    assert!(hauler::is_running(grandchild), "it has escaped for now");
    assert_eq!(hauler.runs(), 1);
    let next = hauler.again().await;
    assert!(!hauler::is_running(grandchild));
    assert_eq!(next.runs(), 0);
}
