//! The sources: what their comments say about each case.

use std::collections::BTreeMap;

/// What a report must hold about one case.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// Words and numbers behind the case's name: `block 100, offset 4, stack address`.
    pub(crate) facts: Vec<String>,
    /// Lines by role: `alloc`, `free`, `at`, `told`.
    lines: BTreeMap<&'static str, Vec<u64>>,
}

/// What a line may be for a case.
const ROLES: [&str; 4] = ["alloc", "free", "at", "told"];

impl Case {
    /// Lines with this role.
    pub(crate) fn lines(&self, role: &str) -> &[u64] {
        self.lines.get(role).map_or(&[], Vec::as_slice)
    }

    /// The number behind a word, as in `block 100`.
    pub(crate) fn number(&self, word: &str) -> Option<i128> {
        let number = |fact: &String| fact.strip_prefix(word)?.strip_prefix(' ')?.parse().ok();
        self.facts.iter().find_map(number)
    }

    /// The numbers behind a word, as in `offset 8/16`.
    pub(crate) fn numbers(&self, word: &str) -> Vec<i128> {
        let text = |fact: &str| fact.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned);
        let text = self.facts.iter().find_map(|fact| text(fact)).unwrap_or_default();
        text.split('/').filter_map(|number| number.parse().ok()).collect()
    }

    /// What is no number: words that the report holds.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let is_number = |fact: &str| {
            fact.split_once(' ').is_some_and(|(_, n)| {
                n.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit())
            })
        };
        self.facts.iter().map(String::as_str).filter(move |fact| !is_number(fact))
    }

    fn add(&mut self, role: &'static str, line: u64) {
        self.lines.entry(role).or_default().push(line);
    }
}

/// Whether a name is meant: `past_#` are all names that end in a number.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('#') {
        Some(start) => name
            .strip_prefix(start)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())),
        None => pattern == name,
    }
}

/// Reads the cases of a source.
pub(crate) fn read(source: &str) -> BTreeMap<String, Case> {
    // In Rust the facts are on a line of their own: `fn name() {`, `// case block 10`.
    let source = &source.replace("() {\n    // case", ") { // case").replace("\nfn ", "\nCASE(");
    let lines = source.lines().flat_map(|line| {
        let is_joined = line.contains(") { // case");
        std::iter::once(line).chain(is_joined.then_some(""))
    });
    let lines = lines.collect::<Vec<_>>();
    let begins = |line: &str| {
        let rest = line.strip_prefix("CASE(")?;
        let (name, rest) = rest.split_once(')')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_name && rest.starts_with(" {")).then(|| name.to_owned())
    };
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for line in &lines {
        if let Some(name) = begins(line) {
            let facts = line.split_once(" // ").map_or("", |(_, facts)| facts);
            let facts = facts.strip_prefix("case").unwrap_or(facts).trim();
            let facts = facts.split(", ").filter(|fact| !fact.is_empty()).map(str::to_owned);
            cases.insert(name, Case { facts: facts.collect(), ..Case::default() });
        }
    }
    let mut current = None;
    for (line, number) in lines.iter().copied().zip(1..) {
        match begins(line) {
            Some(name) if !line.contains('}') => current = Some(name),
            Some(_) => {}
            None => add_marks(&mut cases, current.as_deref(), line, number),
        }
        if line.starts_with('}') {
            current = None;
        }
    }
    cases
}

/// Enters what a comment says: roles of this line, each perhaps with the cases that it is for.
fn add_marks(cases: &mut BTreeMap<String, Case>, current: Option<&str>, line: &str, number: u64) {
    let Some((_, comment)) = line.split_once("// ") else { return };
    let (mut role, mut is_named) = (None, true);
    for word in comment.split([' ', ',']).filter(|word| !word.is_empty()) {
        if let Some(known) = ROLES.into_iter().find(|known| *known == word) {
            close(cases, current, role, is_named, number);
            (role, is_named) = (Some(known), false);
        } else if let Some(role) = role {
            is_named = true;
            let meant = cases.iter_mut().filter(|(name, _)| matches(word, name));
            let count = meant.map(|(_, case)| case.add(role, number)).count();
            assert_ne!(count, 0, "line {number}: no case {word}");
        } else {
            return; // An ordinary comment.
        }
    }
    close(cases, current, role, is_named, number);
}

/// A role without names is for the case around it.
fn close(
    cases: &mut BTreeMap<String, Case>,
    current: Option<&str>,
    role: Option<&'static str>,
    is_named: bool,
    number: u64,
) {
    let Some(role) = role.filter(|_| !is_named) else { return };
    let current = current.unwrap_or_else(|| panic!("line {number}: which case?"));
    cases.get_mut(current).expect("a case that was found before").add(role, number);
}

#[test]
fn marks_are_read() {
    let text = "static void f() { // free a\n}\nCASE(a) { // block 10, stack address\n p(); // alloc\n \
                q(); // free, at\n}\nCASE(b_1) { g(1); } // block 1\nvoid g() { // at b_#\n";
    let cases = read(text);
    let a = &cases["a"];
    assert_eq!(
        (a.lines("alloc"), a.lines("free"), a.lines("at")),
        (&[4][..], &[1, 5][..], &[5][..])
    );
    assert_eq!(
        (a.number("block"), a.words().collect::<Vec<_>>()),
        (Some(10), vec!["stack address"])
    );
    let b = &cases["b_1"];
    assert_eq!((b.lines("at"), b.number("block")), (&[8][..], Some(1)));
}
