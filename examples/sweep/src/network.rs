//! A network of one hidden layer of tanh with a logistic output, and the two moons that it learns to tell apart.
//!
//! Stochastic gradient descent, one point at a time; everything follows from the seed.

/// A point of the plane, and which moon it is of.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    x: [f64; 2],
    is_second: bool,
}

/// A hidden unit: what it takes from the two coordinates, what it adds, and what the output takes from it.
#[derive(Clone, Copy)]
struct Unit {
    from: [f64; 2],
    bias: f64,
    to: f64,
}

pub(crate) struct Network {
    units: Vec<Unit>,
    bias: f64,
    dice: Dice,
}

impl Network {
    pub(crate) fn new(units: u32, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let unit =
            |dice: &mut Dice| Unit { from: [dice.normal(), dice.normal()], bias: dice.normal(), to: dice.normal() };
        Self { units: (0..units).map(|_| unit(&mut dice)).collect(), bias: 0.0, dice }
    }

    /// One epoch: as many points as there are, drawn at random. The mean loss.
    pub(crate) fn train(&mut self, points: &[Point], rate: f64) -> f64 {
        let mut total = 0.0;
        for _ in points {
            let point = points[self.dice.below(points.len())];
            total += self.learn(point, rate);
        }
        total / points.len() as f64
    }

    fn learn(&mut self, Point { x, is_second }: Point, rate: f64) -> f64 {
        let logit = self.logit(x);
        // The derivative of cross-entropy behind a logistic function.
        let error = 1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(is_second));
        self.bias -= rate * error;
        for unit in &mut self.units {
            let said = unit.says(x);
            let back = error * unit.to * (1.0 - said * said);
            unit.to -= rate * error * said;
            unit.bias -= rate * back;
            unit.from[0] -= rate * back * x[0];
            unit.from[1] -= rate * back * x[1];
        }
        // Cross-entropy in the form that does not overflow.
        let wrong = if is_second { -logit } else { logit };
        wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
    }

    /// Which share of the points it knows.
    pub(crate) fn accuracy(&self, points: &[Point]) -> f64 {
        let known = points.iter().filter(|point| (self.logit(point.x) > 0.0) == point.is_second).count();
        known as f64 / points.len() as f64
    }

    fn logit(&self, x: [f64; 2]) -> f64 {
        self.bias + self.units.iter().map(|unit| unit.to * unit.says(x)).sum::<f64>()
    }
}

impl Unit {
    fn says(&self, x: [f64; 2]) -> f64 {
        (self.from[0] * x[0] + self.from[1] * x[1] + self.bias).tanh()
    }
}

/// Two half circles that reach into each other, with noise: half of the points of each.
pub(crate) fn moons(many: usize, seed: u64) -> Vec<Point> {
    let mut dice = Dice(seed);
    (0..many)
        .map(|n| {
            let is_second = n % 2 == 1;
            let (sin, cos) = (dice.unit() * std::f64::consts::PI).sin_cos();
            let (x, y) = if is_second { (1.0 - cos, 0.5 - sin) } else { (cos, sin) };
            Point { x: [x + 0.2 * dice.normal(), y + 0.2 * dice.normal()], is_second }
        })
        .collect()
}

/// SplitMix64, by Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, many: usize) -> usize {
        // The remainder of a number below `many`, so it fits.
        (self.bits() % many as u64) as usize
    }

    /// Nearly normal: the sum of twelve, as they have a variance of a twelfth each.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
