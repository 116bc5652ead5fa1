//! A server that is measured: a child process of this binary, alone on one core.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::{Result, bare, broadcast, cell, commands, counter, durable, idle, jobs, machine, slow, slow_many, storm};

/// A server that accepts on loopback; ended when dropped.
pub(crate) struct Server {
    process: Child,
    orders: ChildStdin,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

impl Server {
    /// Starts this binary again in a role of [`serve`] and waits for its line
    /// `listening on http://…`.
    pub(crate) fn start(role: &str, core: usize) -> Result<Self> {
        Self::start_with(role, core, None::<(&str, &str)>)
    }

    /// As [`Server::start`], with something in its environment.
    pub(crate) fn start_with(
        role: &str,
        core: usize,
        variable: Option<(&str, impl AsRef<std::ffi::OsStr>)>,
    ) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", role, &core.to_string()])
            .envs(variable)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("the input is piped");
        let output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let address = output.lines().map_while(std::result::Result::ok).find_map(|line| {
            let (_, url) = line.split_once("listening on http://")?;
            Some(url.trim_end_matches('/').to_owned())
        });
        match address {
            Some(address) => Ok(Self { process, orders, address }),
            None => Err(format!("the {role} server ended with {} before it listened", process.wait()?).into()),
        }
    }

    /// Tells it to do once what its role does on order.
    pub(crate) fn order(&mut self) -> Result<()> {
        Ok(self.orders.write_all(b"\n")?)
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn resident(&self) -> Result<u64> {
        Ok(machine::resident(self.process.id())?)
    }

    /// Bytes that it has caused to be written to a disk.
    pub(crate) fn written(&self) -> Result<u64> {
        Ok(machine::written(self.process.id())?)
    }

    /// The CPU time that it has used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        Ok(machine::cpu_time(self.process.id())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// What a child does: one server on one core, on the runtime that `#[tokio::main]` would make there.
pub(crate) fn serve(role: &str, core: &str) -> Result<()> {
    machine::pin(core.parse()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        match role {
            "counter-windlass" => counter::windlass_server::serve().await,
            "counter-echo" => bare::serve(counter::echo_server::answer).await,
            "cell-echo" => bare::serve(cell::echo_server::answer).await,
            "cell-sync-vec" => cell::windlass_server::sync_vec().await,
            "cell-tracked" => cell::windlass_server::tracked().await,
            "cell-plain" => cell::windlass_server::plain().await,
            "cell-plain-in-place" => cell::windlass_server::plain_in_place().await,
            "broadcast-windlass" => broadcast::serve_windlass().await,
            "broadcast-bare" => broadcast::serve_bare().await,
            "idle" => idle::serve().await,
            "durable" => durable::serve().await,
            "slow" => slow::serve().await,
            "slow-many" => slow_many::serve().await,
            "storm" => storm::serve().await,
            "jobs-windlass" => jobs::serve().await,
            "commands-windlass" => commands::serve().await,
            "commands-bare" => bare::serve(commands::answer).await,
            "jobs-bare" => bare::serve(jobs::answer).await,
            _ => Err(format!("no server has the role {role}").into()),
        }
    })
}

/// What the parent orders, one item an order; ends with the parent.
pub(crate) fn orders() -> mpsc::Receiver<()> {
    let (orders, received) = mpsc::channel(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            if orders.blocking_send(()).is_err() {
                return;
            }
        }
    });
    received
}
