//! A text generator that needs no network: a Markov chain over pairs of words.
//!
//! After C. E. Shannon, "A Mathematical Theory of Communication" (1948), part 3. It makes sentences, not sense.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The words of an answer, each with the space behind it; the same for the same question and seed.
pub(crate) fn answer(question: &str, seed: u64) -> Vec<String> {
    let words: Vec<&str> = TEXT.split_whitespace().collect();
    let mut follow: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    // The end is followed by the beginning, so that every pair is followed by something.
    for (at, &word) in words.iter().enumerate() {
        let next = |n: usize| words[(at + n) % words.len()];
        follow.entry((word, next(1))).or_default().push(next(2));
    }
    let mut dice = Dice::new(question, seed);
    let (mut first, mut second) = beginning(&words, question, &mut dice);
    let mut answer = vec![first, second];
    while let Some(next) = follow.get(&(first, second)).map(|choice| choice[dice.below(choice.len())]) {
        answer.push(next);
        if answer.len() >= WORDS_MAX || (answer.len() >= WORDS_MIN && next.ends_with('.')) {
            break;
        }
        (first, second) = (second, next);
    }
    answer.iter().map(|word| format!("{word} ")).collect()
}

/// Two words that begin a sentence: of one about something in the question, if there is any.
fn beginning<'a>(words: &[&'a str], question: &str, dice: &mut Dice) -> (&'a str, &'a str) {
    let asked: Vec<String> = question.split_whitespace().map(plain).filter(|word| word.len() > 3).collect();
    let starts: Vec<usize> = (0..words.len() - 1).filter(|&at| at == 0 || words[at - 1].ends_with('.')).collect();
    let is_about = |&&at: &&usize| {
        let sentence = words[at..].iter().take_while(|word| !word.ends_with('.'));
        sentence.into_iter().any(|word| asked.contains(&plain(word)))
    };
    let about: Vec<usize> = starts.iter().filter(is_about).copied().collect();
    let choice = if about.is_empty() { starts } else { about };
    let at = choice[dice.below(choice.len())];
    (words[at], words[at + 1])
}

fn plain(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// SplitMix64, by Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
struct Dice(u64);

impl Dice {
    fn new(question: &str, seed: u64) -> Self {
        let mut hash = DefaultHasher::new();
        (question, seed).hash(&mut hash);
        Self(hash.finish())
    }

    fn below(&mut self, many: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The remainder of a number below `many`, so it fits.
        ((bits ^ (bits >> 31)) % many as u64) as usize
    }
}

const TEXT: &str = include_str!("text.txt");
const WORDS_MIN: usize = 60;
const WORDS_MAX: usize = 140;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_and_seed_have_the_same_answer_and_others_another() {
        assert_eq!(answer("what is a windlass?", 2), answer("what is a windlass?", 2));
        assert_ne!(answer("what is a windlass?", 2), answer("what is a windlass?", 4));
        assert_ne!(answer("what is a windlass?", 2), answer("who hauls the anchor?", 2));
    }

    #[test]
    fn an_answer_has_some_sentences_of_the_words_of_the_text() {
        for seed in 0..200 {
            let words = answer("storm", seed);
            assert!((WORDS_MIN..=WORDS_MAX).contains(&words.len()), "seed {seed}: {} words", words.len());
            assert!(words.iter().all(|word| TEXT.contains(word.trim_end())), "seed {seed}");
        }
    }
}
