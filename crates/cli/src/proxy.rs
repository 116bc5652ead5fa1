//! `windlass proxy`: a bad network on loopback, between a page and an app.
//!
//! Prints one JSON object a line: where it listens, then what happens. Faults can be typed while it runs.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use windlass_proxy::{Chaos, Direction, Fault, Plan, Proxy};

/// What is asked for on the command line.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Faults: close, reset, black-hole, freeze, lose-client, lose-server. While it runs, type a fault and Enter to do it to \
every open connection, `resume` to thaw those that are frozen, `refuse` and `accept` for new ones.

Examples:
  windlass proxy 127.0.0.1:8080 --port 8081 --latency 150ms --jitter 50ms
  windlass proxy 127.0.0.1:8080 --cut to-client:1200:reset --cuts 1
  windlass proxy 127.0.0.1:8080 --random 7")]
pub(crate) struct Options {
    /// Where the app listens
    #[arg(value_parser = address)]
    target: String,
    /// The port on 127.0.0.1; any free one without it
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long every byte is under way, each way: 150ms
    #[arg(long, default_value = "0", value_parser = crate::duration::parse)]
    latency: Duration,
    /// Up to how much longer, at random
    #[arg(long, default_value = "0", value_parser = crate::duration::parse)]
    jitter: Duration,
    /// The most bytes that are written at once
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    slice: Option<u32>,
    /// The most bytes a second, each way
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// A fault after so many bytes: to-server:BYTES:FAULT or to-client:BYTES:FAULT, one for each direction
    #[arg(long, value_name = "WHERE", value_parser = cut)]
    cut: Vec<(Direction, u64, Fault)>,
    /// How many connections are cut; all without it
    #[arg(long, requires = "cut")]
    cuts: Option<u32>,
    /// A fault for all that is open, again and again: 5s:reset
    #[arg(long, value_name = "TIME:FAULT", value_parser = every)]
    every: Option<(Duration, Fault)>,
    /// Random delays, pieces and cuts; the same ones for the same seed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["latency", "jitter", "slice", "rate", "cut"])]
    random: Option<u64>,
}

fn address(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is no address; write 127.0.0.1:8080")),
    }
}

fn cut(text: &str) -> Result<(Direction, u64, Fault), String> {
    let wrong = || format!("\"{text}\" is no cut; write to-client:1200:reset");
    let (direction, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (bytes, fault) = rest.split_once(':').ok_or_else(wrong)?;
    let direction = match direction {
        "to-server" => Direction::ToServer,
        "to-client" => Direction::ToClient,
        _ => return Err(wrong()),
    };
    Ok((direction, bytes.parse().map_err(|_| wrong())?, Fault::from_str(fault)?))
}

fn every(text: &str) -> Result<(Duration, Fault), String> {
    let (time, fault) =
        text.split_once(':').ok_or_else(|| format!("\"{text}\" is no time and fault; write 5s:reset"))?;
    let time = crate::duration::parse(time)?;
    if time.is_zero() {
        return Err("the time between two faults is more than none".to_owned());
    }
    Ok((time, Fault::from_str(fault)?))
}

impl Options {
    /// What happens to every connection, and without its cuts.
    fn plans(&self) -> (Plan, Plan) {
        let mut whole = Plan::default().latency(self.latency).jitter(self.jitter);
        if let Some(bytes) = self.slice {
            whole = whole.slice_max(bytes as usize);
        }
        if let Some(bytes) = self.rate {
            whole = whole.bytes_per_second(bytes);
        }
        let cut = self.cut.iter().fold(whole, |plan, (direction, after, fault)| plan.cut(*direction, *after, *fault));
        (cut, whole)
    }
}

/// Runs until it is interrupted; exit code 2 when it cannot begin.
pub(crate) async fn main(options: Options) -> ExitCode {
    let proxy = match start(&options).await {
        Ok(proxy) => proxy,
        Err(why) => {
            eprintln!("windlass proxy: {why}");
            return ExitCode::from(2);
        }
    };
    println!("{}", serde_json::json!({"event": "listening", "url": proxy.url(), "target": options.target}));
    let mut typed = Some(BufReader::new(tokio::io::stdin()).lines());
    let mut ticks = options
        .every
        .map(|(period, fault)| (tokio::time::interval_at(tokio::time::Instant::now() + period, period), fault));
    loop {
        let tick = async {
            match &mut ticks {
                Some((interval, fault)) => {
                    interval.tick().await;
                    *fault
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            fault = tick => {
                proxy.fault(fault);
            }
            line = next_line(&mut typed) => obey(&proxy, line.trim()),
            _ = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
        }
    }
}

async fn start(options: &Options) -> Result<Proxy, String> {
    let target: SocketAddr = tokio::net::lookup_host(&options.target)
        .await
        .map_err(|error| format!("{}: {error}", options.target))?
        .next()
        .ok_or_else(|| format!("{} has no address", options.target))?;
    let (cut, whole) = options.plans();
    let proxy = Proxy::start_with(
        target,
        windlass_proxy::Options {
            port: options.port,
            plan: if options.cuts.is_some() { whole } else { cut },
            chaos: options.random.map(|seed| Chaos { seed, ..Chaos::default() }),
            log: Some(Box::new(|event| {
                println!("{}", serde_json::to_string(event).expect("an event holds only names and numbers"));
            })),
        },
    )
    .await
    .map_err(|error| format!("cannot listen on port {}: {error}; choose another --port", options.port))?;
    for _ in 0..options.cuts.unwrap_or(0) {
        proxy.next(cut);
    }
    Ok(proxy)
}

/// What is typed next; never again anything after the end of it.
async fn next_line(typed: &mut Option<Lines<BufReader<Stdin>>>) -> String {
    if let Some(lines) = typed {
        match lines.next_line().await {
            Ok(Some(line)) => return line,
            Ok(None) | Err(_) => *typed = None,
        }
    }
    std::future::pending().await
}

fn obey(proxy: &Proxy, line: &str) {
    match line {
        "" => {}
        "resume" => proxy.resume(),
        "refuse" => proxy.refuse(),
        "accept" => proxy.accept(),
        fault => match fault.parse() {
            Ok(fault) => {
                proxy.fault(fault);
            }
            Err(why) => eprintln!("{why}, resume, refuse or accept"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_they_mean() {
        assert_eq!(cut("to-client:12:lose-server"), Ok((Direction::ToClient, 12, Fault::LoseServer)));
        assert_eq!(every("2s:close"), Ok((Duration::from_secs(2), Fault::Close)));
        assert_eq!(address("http://localhost:8080/").as_deref(), Ok("localhost:8080"));
        for wrong in ["to-client:12", "up:12:reset", "to-client:x:reset", "to-client:1:rst", ""] {
            assert!(cut(wrong).is_err(), "{wrong}");
        }
        for wrong in ["reset", "0:reset", "5s:x"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
        for wrong in ["localhost", ":80", "a:b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
