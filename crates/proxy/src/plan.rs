//! What is to happen to a connection: how its bytes travel, and where it breaks.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::random::Random;

/// One of the two ways through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];
}

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Both sides get the end of the stream (FIN), after what was forwarded.
    Close,
    /// Both sides get a reset (RST), which may overtake what was forwarded.
    Reset,
    /// What either side sends from now on is taken and lost, and neither hears of the other again, not even of its end.
    BlackHole,
    /// Nothing is read or written until [`Proxy::resume`](crate::Proxy::resume); then it goes on as if nothing was.
    Freeze,
    /// The server's side stays open and silent, as after a client that lost its power; the client gets a reset.
    LoseClient,
    /// The client's side stays open and silent, as after a server that lost its power; the server gets a reset.
    LoseServer,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Close, Self::Reset, Self::BlackHole, Self::Freeze, Self::LoseClient, Self::LoseServer];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Reset => "reset",
            Self::BlackHole => "black-hole",
            Self::Freeze => "freeze",
            Self::LoseClient => "lose-client",
            Self::LoseServer => "lose-server",
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| format!("\"{text}\" is no fault; write {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A fault at a byte: after exactly so many bytes of one direction were forwarded, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes are forwarded before; 0 is as soon as both sides are connected.
    pub after: u64,
    /// What happens then, to the whole connection.
    pub fault: Fault,
}

/// How bytes of one direction travel. By default at once, as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// How long each byte is under way.
    pub latency: Duration,
    /// Up to how much longer, at random; bytes never overtake each other.
    pub jitter: Duration,
    /// The most bytes that are written at once; each piece is a packet of its own, as far as the system lets it.
    pub slice_max: Option<usize>,
    /// The most bytes a second.
    pub bytes_per_second: Option<u64>,
    /// Where it breaks.
    pub cut: Option<Cut>,
}

/// What happens to one connection.
///
/// ```
/// use std::time::Duration;
/// use windlass_proxy::{Direction, Fault, Plan};
///
/// let plan = Plan::default()
///     .latency(Duration::from_millis(40))
///     .slice_max(7)
///     .cut(Direction::ToClient, 1_000, Fault::Reset);
/// assert_eq!(plan.to_client.cut.unwrap().after, 1_000);
/// assert_eq!(plan.to_server.slice_max, Some(7));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the client sends.
    pub to_server: Way,
    /// What the server sends.
    pub to_client: Way,
}

impl Plan {
    /// Delays both directions.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        self.both(|way| way.latency = latency)
    }

    /// Delays both directions by up to so much more, at random.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        self.both(|way| way.jitter = jitter)
    }

    /// Cuts both directions into pieces of at most so many bytes, at least 1.
    #[must_use]
    pub fn slice_max(self, bytes: usize) -> Self {
        self.both(|way| way.slice_max = Some(bytes.max(1)))
    }

    /// Limits both directions to so many bytes a second, at least 1.
    #[must_use]
    pub fn bytes_per_second(self, bytes: u64) -> Self {
        self.both(|way| way.bytes_per_second = Some(bytes.max(1)))
    }

    /// Breaks the connection after so many bytes of one direction; one cut for each direction.
    #[must_use]
    pub fn cut(mut self, direction: Direction, after: u64, fault: Fault) -> Self {
        self.way_mut(direction).cut = Some(Cut { after, fault });
        self
    }

    /// One of its directions.
    #[must_use]
    pub fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn both(mut self, change: impl Fn(&mut Way)) -> Self {
        Direction::BOTH.into_iter().for_each(|direction| change(self.way_mut(direction)));
        self
    }
}

/// Random plans: which ones follows from the seed and the number of the connection alone.
///
/// ```
/// use windlass_proxy::Chaos;
///
/// let chaos = Chaos { seed: 7, ..Chaos::default() };
/// assert_eq!(chaos.plan(1), chaos.plan(1));
/// ```
#[derive(Clone, Debug)]
pub struct Chaos {
    /// What all of it follows from.
    pub seed: u64,
    /// The most bytes that a connection is cut after, 10,000 by default; small numbers are as likely as large ones.
    pub cut_after_max: u64,
    /// The most that bytes are delayed, 30 ms by default.
    pub latency_max: Duration,
    /// What may happen at the cut; by default what is noticed at once: close, reset and a lost client.
    pub faults: Vec<Fault>,
}

impl Default for Chaos {
    fn default() -> Self {
        Self {
            seed: 0,
            cut_after_max: 10_000,
            latency_max: Duration::from_millis(30),
            faults: vec![Fault::Close, Fault::Reset, Fault::LoseClient],
        }
    }
}

impl Chaos {
    /// The plan of the connection of this number; one of four is not cut.
    #[must_use]
    pub fn plan(&self, connection: u64) -> Plan {
        let mut random = Random::new(self.seed ^ connection.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut plan = Plan::default();
        for direction in Direction::BOTH {
            let way = plan.way_mut(direction);
            let latency = self.latency_max.as_micros() as u64 / 2;
            if random.once_in(2) {
                way.latency = Duration::from_micros(random.below(latency + 1));
                way.jitter = Duration::from_micros(random.below(latency + 1));
            }
            way.slice_max = random.once_in(3).then(|| 1 + random.below(100) as usize);
            way.bytes_per_second = random.once_in(6).then(|| 20_000 + random.below(500_000));
        }
        if !random.once_in(4) && !self.faults.is_empty() {
            let direction = Direction::BOTH[random.below(2) as usize];
            // Ten is as likely to be in its order of magnitude as a thousand.
            let digits = u64::from(self.cut_after_max.max(1).ilog2() + 1);
            let end = (1_u64 << random.below(digits + 1)).min(self.cut_after_max.saturating_add(1));
            let (after, fault) = (random.below(end), self.faults[random.below(self.faults.len() as u64) as usize]);
            plan = plan.cut(direction, after, fault);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_one_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("rst".parse::<Fault>().unwrap_err().contains("write close, reset"));
    }

    #[test]
    fn random_plans_differ_and_keep_their_bounds() {
        let chaos = Chaos { seed: 3, cut_after_max: 500, ..Chaos::default() };
        let plans: Vec<_> = (0..400).map(|connection| chaos.plan(connection)).collect();
        let cuts: Vec<_> = plans.iter().filter_map(|plan| plan.to_server.cut.or(plan.to_client.cut)).collect();
        assert!((250..350).contains(&cuts.len()), "{} of 400 are cut", cuts.len());
        assert!(cuts.iter().all(|cut| cut.after <= 500 && chaos.faults.contains(&cut.fault)));
        assert!(cuts.iter().any(|cut| cut.after < 8) && cuts.iter().any(|cut| cut.after > 250));
        assert!(plans.iter().all(|plan| plan.to_server.latency + plan.to_server.jitter <= chaos.latency_max));
    }
}
