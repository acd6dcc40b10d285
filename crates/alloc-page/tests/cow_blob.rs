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
/// Method: their own share of memory, as the kernel divides it.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn a_hundred_copies_take_the_memory_of_one() {
    let len = 64 << 20;
    let blob = CowBlob::new(&vec![3; len]).unwrap();
    let mut copies: Vec<_> = (0..100).map(|_| blob.private().unwrap()).collect();
    for copy in &mut copies {
        assert!(copy.iter().step_by(4096).all(|byte| *byte == 3));
        copy[5] = 4;
    }
    let (mapping_count, own_kib) = memory_of(&mapping_at(blob.as_ptr().addr()).file);
    assert_eq!(mapping_count, 101, "the blob's, and one for each copy");
    assert!(own_kib < (80 << 10), "{own_kib} KiB for 100 copies");
    assert!(copies.iter().all(|copy| copy[5] == 4 && copy[6] == 3) && blob[5] == 3);
}

/// How many mappings of a file the process has, and their `Pss` together: what is shared counts in parts.
#[cfg(all(target_os = "linux", not(miri)))]
fn memory_of(file: &(String, u64)) -> (usize, usize) {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut mapping_count, mut kib, mut is_ours) = (0, 0, false);
    for line in smaps.lines() {
        if let Some(mapping) = Mapping::of(line) {
            is_ours = mapping.file == *file;
            mapping_count += usize::from(is_ours);
        } else if is_ours && let Some(share) = line.strip_prefix("Pss:") {
            kib += share.split_whitespace().next().unwrap().parse::<usize>().unwrap();
        }
    }
    (mapping_count, kib)
}

/// A line of the kernel's list of mappings.
#[cfg(all(target_os = "linux", not(miri)))]
struct Mapping {
    addresses: std::ops::Range<usize>,
    access: String,
    /// Its device, and the number of its inode there.
    file: (String, u64),
}

#[cfg(all(target_os = "linux", not(miri)))]
impl Mapping {
    /// `None` for a line that tells about the mapping before.
    fn of(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = words.first()?.split_once('-')?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        Some(Self {
            addresses: parse(start)?..parse(end)?,
            access: (*words.get(1)?).to_owned(),
            file: ((*words.get(3)?).to_owned(), words.get(4)?.parse().ok()?),
        })
    }
}

/// The mapping that an address lies in.
#[cfg(all(target_os = "linux", not(miri)))]
fn mapping_at(addr: usize) -> Mapping {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter_map(Mapping::of).find(|mapping| mapping.addresses.contains(&addr)).unwrap()
}

/// Goal: nobody can cut or write the file, so that no touch is a fatal signal. Method: try, with the
/// descriptors that this process has of it.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn the_file_can_neither_be_cut_nor_written() {
    use std::os::unix::fs::{FileExt, MetadataExt};

    let blob = CowBlob::with_threshold(&content(8192), 0).unwrap();
    let (_, our_file) = mapping_at(blob.as_ptr().addr()).file;
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
        // Nor need it be sealed yet.
        if file.metadata().unwrap().ino() != our_file {
            continue;
        }
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
    assert_eq!(mapping_at(blob.as_ptr().addr()).access, "r--p");
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
