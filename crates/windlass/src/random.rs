//! Random bits from the operating system.

/// So many random bytes.
///
/// # Panics
///
/// When the operating system gives none: no session may have a secret that somebody can guess.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Eight hex digits to look an error up by.
pub(crate) fn hex_id() -> String {
    bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two words, for a key.
pub(crate) fn key() -> [u64; 2] {
    [u64::from_le_bytes(bytes()), u64::from_le_bytes(bytes())]
}
