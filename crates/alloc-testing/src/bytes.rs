//! Searching memory, fast also without optimisation.
#![forbid(unsafe_code)]

/// The index of the first byte that is not `byte`.
pub(crate) fn first_other(bytes: &[u8], byte: u8) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    // All are equal if each is equal to the next: one comparison of memory, fast in debug builds too.
    let uniform = *first == byte && *rest == bytes[..rest.len()];
    if uniform { None } else { bytes.iter().position(|&other| other != byte) }
}

#[cfg(test)]
mod tests {
    use super::first_other;

    #[test]
    fn the_first_other_byte_is_found() {
        assert_eq!(first_other(&[], 7), None);
        assert_eq!(first_other(&[7], 7), None);
        assert_eq!(first_other(&[8], 7), Some(0));
        assert_eq!(first_other(&[8, 8, 8], 7), Some(0));
        for index in 0..40 {
            let mut bytes = [7; 40];
            assert_eq!(first_other(&bytes, 7), None);
            bytes[index] = 0;
            assert_eq!(first_other(&bytes, 7), Some(index));
        }
    }
}
