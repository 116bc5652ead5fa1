//! Numbers that nobody can foresee, and ids made of them.

/// Random bits, seeded once: for jitter, where it is enough that clients differ. (SplitMix64, Steele et al. 2014.)
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// That many bytes of the operating system's, as hex digits.
///
/// # Panics
///
/// When the operating system has no randomness to give; nothing is safe then.
pub(crate) fn hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).expect("the operating system gives random bytes");
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A seed of the operating system's, for [`Random`].
pub(crate) fn seed() -> u64 {
    getrandom::u64().expect("the operating system gives random bytes")
}
