//! Copies that share what they do not change.
#![cfg(feature = "file")]

use alloc_page::CowBlob;

/// Bytes that differ from page to page.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 4096 * 7 + index) as u8).collect()
}

/// What one copy writes no other sees, nor the blob; sizes around pages and the threshold.
#[test]
fn writes_stay_private() {
    for len in [0, 1, 4095, 4096, 10_000, CowBlob::THRESHOLD - 1, CowBlob::THRESHOLD, 3 << 20] {
        let expected = content(len);
        let blob = CowBlob::new(&expected).unwrap();
        let shared = cfg!(target_os = "linux") && CowBlob::THRESHOLD <= len;
        assert_eq!(blob.is_shared(), shared, "{len}");
        let (mut one, two) = (blob.private().unwrap(), blob.private().unwrap());
        one.iter_mut().for_each(|byte| *byte = !*byte);
        assert!(*blob == *expected && *two == *expected, "{len}");
        assert!(one.iter().zip(&expected).all(|(one, was)| *one == !was), "{len}");
        drop(blob);
        assert!(*two == *expected, "a copy outlives the blob");
    }
}

/// The threshold is the caller's where it wants; nothing is no file.
#[test]
fn the_threshold_is_a_choice() {
    assert!(!CowBlob::with_threshold(&[], 0).unwrap().is_shared());
    assert_eq!(CowBlob::with_threshold(&[1, 2], 0).unwrap().is_shared(), cfg!(target_os = "linux"));
    let heap = CowBlob::with_threshold(&[1, 2], 3).unwrap();
    assert!(!heap.is_shared() && *heap.private().unwrap() == [1, 2]);
}

/// Goal: 100 copies of 64 MiB, all read and one page of each written, take about the memory of one.
/// Method: the process's own share of memory, as the kernel divides it.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
#[cfg_attr(sanitized, ignore = "the sanitizers' shadow memory is counted as well")]
fn a_hundred_copies_take_the_memory_of_one() {
    let len = 64 << 20;
    let blob = CowBlob::new(&vec![3; len]).unwrap();
    let before = own_kib();
    let mut copies: Vec<_> = (0..100).map(|_| blob.private().unwrap()).collect();
    for copy in &mut copies {
        assert!(copy.iter().step_by(4096).all(|byte| *byte == 3));
        copy[5] = 4;
    }
    let more_kib = own_kib() - before;
    assert!(more_kib < (80 << 10), "{more_kib} KiB for 100 copies");
    assert!(copies.iter().all(|copy| copy[5] == 4 && copy[6] == 3) && blob[5] == 3);
}

/// `Pss`: what is shared counts in parts.
#[cfg(all(target_os = "linux", not(miri)))]
fn own_kib() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Goal: nobody can cut or write the file, so that no touch is a fatal signal. Method: try, with the
/// descriptors of this process's own sealed files.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn the_file_can_neither_be_cut_nor_written() {
    use std::os::unix::fs::FileExt;

    let blob = CowBlob::with_threshold(&content(8192), 0).unwrap();
    let mut tried_count = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let target = std::fs::read_link(&path).unwrap_or_default();
        if !target.to_string_lossy().contains("alloc-page blob") {
            continue;
        }
        // Another test's blob may be closed in between.
        let Ok(file) = std::fs::File::options().read(true).write(true).open(&path) else {
            continue;
        };
        assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
        assert!(file.write_at(b"x", 0).is_err());
        tried_count += 1;
    }
    assert!(0 < tried_count);
    assert_eq!(*blob, *content(8192));
}

/// Goal: a blob is to be had before Linux 6.7, which refuses shared mappings of a file that is sealed against
/// writes. Method: the kernel says which kind its mapping is.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn the_mapping_is_private() {
    let blob = CowBlob::with_threshold(&content(8192), 0).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = format!("{:08x}-", blob.as_ptr().addr());
    let line = maps.lines().find(|line| line.starts_with(&start)).unwrap();
    assert_eq!(line.split(' ').nth(1), Some("r--p"), "{line}");
}

/// Set for the child that has no descriptor left, or whose files may have no bytes.
#[cfg(all(target_os = "linux", not(miri)))]
const WITHOUT_FILES: &str = "ALLOC_PAGE_WITHOUT_FILES";

/// The child's part; does nothing in an ordinary run.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn child() {
    if std::env::var_os(WITHOUT_FILES).is_none() {
        return;
    }
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let what = match std::env::var(WITHOUT_FILES).as_deref() {
        Ok("bytes") => libc::RLIMIT_FSIZE,
        _ => libc::RLIMIT_NOFILE,
    };
    // SAFETY: it reads the structure.
    assert_eq!(unsafe { libc::setrlimit(what, &raw const limit) }, 0);
    let expected = content(3 << 20);
    let blob = CowBlob::new(&expected).unwrap();
    assert!(!blob.is_shared());
    let mut copy = blob.private().unwrap();
    copy[7] = !copy[7];
    assert!(*blob == *expected && copy[7] == !expected[7] && copy[8..] == expected[8..]);
    println!("on the heap");
}

/// Where no file is to be had the heap serves.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes open files at the end")]
fn without_a_file_it_is_on_the_heap() {
    for what in ["descriptors", "bytes"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(WITHOUT_FILES, what)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("on the heap"), "{what}: {output:?}");
    }
}
