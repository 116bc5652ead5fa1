//! A network of two hidden layers of tanh with one logistic output, trained by gradient descent on small batches.
//!
//! Back-propagation as in Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors" (1986).

/// A point of the plane, and which moon it is of.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: [f64; 2],
    pub(crate) is_second: bool,
}

const HIDDEN: usize = 16;
const BATCH: usize = 16;

type Row = [f64; HIDDEN];

/// The weights, and as the same shape their gradient.
#[derive(Clone)]
pub(crate) struct Network {
    first: [[f64; 2]; HIDDEN],
    first_bias: Row,
    second: [Row; HIDDEN],
    second_bias: Row,
    last: Row,
    last_bias: f64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let mut weight = |inputs: usize| dice.normal() / (inputs as f64).sqrt();
        Self {
            first: std::array::from_fn(|_| std::array::from_fn(|_| weight(2))),
            second: std::array::from_fn(|_| std::array::from_fn(|_| weight(HIDDEN))),
            last: std::array::from_fn(|_| weight(HIDDEN)),
            ..Self::zero()
        }
    }

    fn zero() -> Self {
        Self {
            first: [[0.0; 2]; HIDDEN],
            first_bias: [0.0; HIDDEN],
            second: [[0.0; HIDDEN]; HIDDEN],
            second_bias: [0.0; HIDDEN],
            last: [0.0; HIDDEN],
            last_bias: 0.0,
        }
    }

    /// One epoch, in batches of points drawn at random. The mean loss of its batches.
    pub(crate) fn train(&mut self, points: &[Point], rate: f64, dice: &mut Dice) -> f64 {
        let batches = points.len() / BATCH;
        let mut total = 0.0;
        for _ in 0..batches {
            let mut gradient = Self::zero();
            for _ in 0..BATCH {
                total += self.learn(points[dice.below(points.len())], &mut gradient);
            }
            self.descend(&gradient, rate / BATCH as f64);
        }
        total / (batches * BATCH) as f64
    }

    /// The mean loss on those points, and which share of them it knows.
    pub(crate) fn judge(&self, points: &[Point]) -> (f64, f64) {
        let loss: f64 = points.iter().map(|point| loss(self.forward(point.x).2, point.is_second)).sum();
        let known = points.iter().filter(|point| self.is_second(point.x) == point.is_second).count();
        (loss / points.len() as f64, known as f64 / points.len() as f64)
    }

    pub(crate) fn is_second(&self, x: [f64; 2]) -> bool {
        self.forward(x).2 > 0.0
    }

    /// What the two hidden layers and the output say; the output before its logistic function.
    fn forward(&self, x: [f64; 2]) -> (Row, Row, f64) {
        let first: Row =
            std::array::from_fn(|i| (self.first[i][0] * x[0] + self.first[i][1] * x[1] + self.first_bias[i]).tanh());
        let second: Row = std::array::from_fn(|i| (dot(&self.second[i], &first) + self.second_bias[i]).tanh());
        let logit = dot(&self.last, &second) + self.last_bias;
        (first, second, logit)
    }

    /// Adds to the gradient what that point says. The loss.
    fn learn(&self, point: Point, gradient: &mut Self) -> f64 {
        let (first, second, logit) = self.forward(point.x);
        // The derivative of cross-entropy behind a logistic function.
        let error = 1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(point.is_second));
        gradient.last_bias += error;
        let mut first_error = [0.0; HIDDEN];
        for (i, said) in second.into_iter().enumerate() {
            gradient.last[i] += error * said;
            let error = error * self.last[i] * (1.0 - said * said);
            gradient.second_bias[i] += error;
            for j in 0..HIDDEN {
                gradient.second[i][j] += error * first[j];
                first_error[j] += error * self.second[i][j];
            }
        }
        for (j, (error, said)) in first_error.iter().zip(first).enumerate() {
            let error = error * (1.0 - said * said);
            gradient.first_bias[j] += error;
            gradient.first[j][0] += error * point.x[0];
            gradient.first[j][1] += error * point.x[1];
        }
        loss(logit, point.is_second)
    }

    fn descend(&mut self, gradient: &Self, step: f64) {
        let descend = |weights: &mut [f64], gradient: &[f64]| {
            weights.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= step * slope);
        };
        descend(self.first.as_flattened_mut(), gradient.first.as_flattened());
        descend(&mut self.first_bias, &gradient.first_bias);
        descend(self.second.as_flattened_mut(), gradient.second.as_flattened());
        descend(&mut self.second_bias, &gradient.second_bias);
        descend(&mut self.last, &gradient.last);
        self.last_bias -= step * gradient.last_bias;
    }
}

fn dot(a: &Row, b: &Row) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Cross-entropy of a logit, in the form that does not overflow.
fn loss(logit: f64, is_second: bool) -> f64 {
    let wrong = if is_second { -logit } else { logit };
    wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
}

/// SplitMix64, by Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to 1, without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, many: usize) -> usize {
        // The remainder of a number below `many`, so it fits.
        (self.bits() % many as u64) as usize
    }

    /// Nearly normal: the sum of twelve, as they have a variance of a twelfth each.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
