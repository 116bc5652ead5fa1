//! Bytes that are nearly right: seeds, changed a little, with words from a dictionary.

use std::path::Path;

/// `SplitMix64`: the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// The seeds of a target: the files of its corpus, and nothing.
///
/// # Errors
///
/// When the corpus cannot be read.
pub fn seeds(corpus: &Path, target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<_> = std::fs::read_dir(corpus.join(target))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    // The same order on every machine.
    paths.sort();
    let mut seeds = vec![Vec::new()];
    for path in paths {
        seeds.push(std::fs::read(path)?);
    }
    Ok(seeds)
}

/// The words of a dictionary as libFuzzer reads it: `"text"` a line, without escapes but `\"` and `\\`.
#[must_use]
pub fn words(dictionary: &str) -> Vec<Vec<u8>> {
    let quoted = dictionary.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    quoted.map(|word| word.replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()).collect()
}

/// One of the seeds, changed in a few places.
#[must_use]
pub fn mutate(random: &mut Random, seeds: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let to = at + random.below((bytes.len() - at).min(16) + 1);
        match random.below(8) {
            0 => bytes.insert(at, random.next() as u8),
            1 => drop(bytes.drain(at..to)),
            2 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            3 if at < bytes.len() => bytes[at] = SIGNS[random.below(SIGNS.len())],
            // A part of it again, somewhere else.
            4 => {
                let part = bytes[at..to].to_vec();
                let place = random.below(bytes.len() + 1);
                bytes.splice(place..place, part);
            }
            // A part of another.
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let part = other[from..from + random.below(other.len() - from + 1)].to_vec();
                bytes.splice(at..at, part);
            }
            _ if !words.is_empty() => {
                let word = words[random.below(words.len())].clone();
                bytes.splice(at..to, word);
            }
            _ => {}
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

const BYTES_MAX: usize = 8 * 1024;

/// What the texts that are read are made of.
const SIGNS: &[u8] = b"[]{}\",:0129-+.eE\\/%\x00\xff |;=tfn";
