//! Which heap serves a process.

/// Who hands out the process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Strategy {
    /// The checking heap.
    Gpa = 1,
    /// glibc, as without this library.
    Glibc = 2,
    /// The program itself, and glibc for the names that it leaves to it, as without this library.
    Own = 3,
    /// glibc, but for one block in so many, which the checking heap guards.
    Sampled = 4,
}

impl Strategy {
    /// The strategy, where the checking heap's settings are known.
    pub(crate) fn sampled_if(self, is_sampled: impl FnOnce() -> bool) -> Self {
        if self == Self::Gpa && is_sampled() { Self::Sampled } else { self }
    }
}

/// What the strategy depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'t> {
    /// The process has more rights than who started it.
    pub(crate) is_secure: bool,
    /// The program answers `malloc` or `free` itself.
    pub(crate) program_has_malloc: bool,
    /// The variable's value.
    pub(crate) value: Option<&'t [u8]>,
}

impl Circumstances<'_> {
    /// Returns the strategy, or the variable's value if there is none of that name.
    ///
    /// Without a value, and with an empty one, it is `gpa`.
    pub(crate) fn choose(&self) -> Result<Strategy, &[u8]> {
        let asked = match self.value {
            _ if self.is_secure => Strategy::Glibc,
            Some(b"c") => Strategy::Glibc,
            None | Some(b"" | b"gpa") => Strategy::Gpa,
            Some(other) => return Err(other),
        };
        Ok(if self.program_has_malloc { Strategy::Own } else { asked })
    }

    /// Whether checks were asked for, which a program with its own malloc does not get.
    pub(crate) fn asks_for_checks(&self) -> bool {
        Circumstances { program_has_malloc: false, ..*self }.choose() == Ok(Strategy::Gpa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Circumstances<'static> =
        Circumstances { is_secure: false, program_has_malloc: false, value: None };

    fn chosen(value: &[u8]) -> Result<Strategy, Vec<u8>> {
        Circumstances { value: Some(value), ..USUAL }.choose().map_err(<[u8]>::to_vec)
    }

    #[test]
    fn values_are_read() {
        assert_eq!(USUAL.choose(), Ok(Strategy::Gpa));
        assert_eq!(chosen(b""), Ok(Strategy::Gpa));
        assert_eq!(chosen(b"gpa"), Ok(Strategy::Gpa));
        assert_eq!(chosen(b"c"), Ok(Strategy::Glibc));
        for wrong in [&b"GPA"[..], b"gpa ", b"smp", b"\xff\n"] {
            assert_eq!(chosen(wrong), Err(wrong.to_vec()));
        }
    }

    /// With more rights than its caller, a process follows nothing that the caller set, not even
    /// into an error.
    #[test]
    fn at_secure_ignores_the_variable() {
        for value in [None, Some(&b"gpa"[..]), Some(b"c"), Some(b"wrong")] {
            let secure = Circumstances { is_secure: true, value, ..USUAL };
            assert_eq!(secure.choose(), Ok(Strategy::Glibc));
        }
    }

    /// Only a process that is checked reads the settings for it.
    #[test]
    fn the_checking_heap_may_sample() {
        assert_eq!(Strategy::Gpa.sampled_if(|| true), Strategy::Sampled);
        assert_eq!(Strategy::Gpa.sampled_if(|| false), Strategy::Gpa);
        for other in [Strategy::Glibc, Strategy::Own] {
            assert_eq!(other.sampled_if(|| panic!("not asked")), other);
        }
    }

    #[test]
    fn a_program_with_its_own_malloc_is_left_alone() {
        let own = Circumstances { program_has_malloc: true, ..USUAL };
        let glibc = Circumstances { value: Some(b"c"), ..own };
        let secure = Circumstances { is_secure: true, value: Some(b"wrong"), ..own };
        for (circumstances, asks) in [(own, true), (glibc, false), (secure, false)] {
            assert_eq!(circumstances.choose(), Ok(Strategy::Own));
            assert_eq!(circumstances.asks_for_checks(), asks);
        }
        let wrong = Circumstances { value: Some(b"wrong"), ..own };
        assert_eq!(wrong.choose(), Err(&b"wrong"[..]));
    }
}
