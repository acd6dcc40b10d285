//! Inputs for the programs, made here, the same every time.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tools::output;

/// Makes a file by a function that writes it.
fn make(path: &Path, write: impl FnOnce(&mut BufWriter<fs::File>) -> Result<()>) -> Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    write(&mut file)?;
    Ok(file.flush()?)
}

/// A generator of numbers that look random: splitmix64 (Steele, Lea, Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

const COMMIT_COUNT: u64 = 3_000;
const FILE_COUNT: u64 = 400;

/// A bare repository with some thousand commits, each of which changes a few of some hundred files.
pub(super) fn repository(dir: &Path) -> Result<()> {
    let repository = dir.join("repository");
    if repository.exists() {
        fs::remove_dir_all(&repository)?;
    }
    output(Command::new("git").args(["init", "--quiet", "--bare", "-b", "main"]).arg(&repository))?;
    let mut import = Command::new("git");
    import.arg("-C").arg(&repository).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn().context("starting git fast-import")?;
    let mut stream = BufWriter::new(import.stdin.take().context("git's standard input")?);
    write_history(&mut stream)?;
    drop(stream);
    anyhow::ensure!(import.wait()?.success(), "git fast-import failed");
    Ok(())
}

/// The history in the format of git-fast-import(1).
fn write_history(stream: &mut impl std::io::Write) -> Result<()> {
    let mut numbers = Numbers(1);
    for commit in 0..COMMIT_COUNT {
        let seconds = 1_600_000_000 + commit * 600;
        let author = commit % 17;
        let message = format!("area {}: change number {commit}\n", commit % 31);
        write!(
            stream,
            "commit refs/heads/main\ncommitter Author {author} <a{author}@example.org> {seconds} \
             +0000\ndata {}\n{message}",
            message.len()
        )?;
        for _ in 0..=numbers.below(4) {
            let file = numbers.below(FILE_COUNT);
            let mut text = String::new();
            for line in 0..20 + numbers.below(100) {
                writeln!(text, "line {line} of file {file}: {:x}", numbers.below(1 << 20))?;
            }
            let path = format!("dir{}/file{file}.txt", file % 20);
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
        }
        writeln!(stream)?;
    }
    Ok(())
}

/// A copy for the command that changes it; it becomes the folder that the command runs in.
pub(super) fn copy_repository(dir: &Path, area: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    output(copy.arg("-r").arg(dir.join("repository/.")).arg(area)).map(drop)
}

/// Some megabytes of nested JSON.
pub(super) fn json(dir: &Path) -> Result<()> {
    make(&dir.join("large.json"), |file| {
        let mut numbers = Numbers(2);
        write!(file, "[")?;
        for index in 0..40_000 {
            let comma = if index == 0 { "" } else { "," };
            let (a, b) = (numbers.below(1 << 40), numbers.below(1000));
            write!(
                file,
                "{comma}{{\"id\":{index},\"name\":\"item {a:x}\",\"tags\":[\"t{b}\",\"\\u00e9{a}\"],\
                 \"inner\":{{\"a\":{a},\"b\":[{b},null,true,{b}.5]}}}}"
            )?;
        }
        Ok(write!(file, "]")?)
    })
}

/// A C file of many functions over the system's headers.
pub(super) fn c_source(dir: &Path) -> Result<()> {
    make(&dir.join("large.c"), |file| {
        let mut numbers = Numbers(3);
        writeln!(file, "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>")?;
        writeln!(file, "#include <string.h>\n#include <time.h>\n#include <unistd.h>")?;
        for index in 0..120 {
            let [a, b, c] = [(); 3].map(|()| numbers.below(100) + 1);
            writeln!(
                file,
                "struct s{index} {{ int key; double value; struct s{index} *next; char name[{a}]; }};\n\
                 int f{index}(const char *text, struct s{index} *list) {{\n\
                 \x20   double sum = {b}; size_t length = strlen(text);\n\
                 \x20   for (struct s{index} *one = list; one; one = one->next)\n\
                 \x20       sum += one->value * {c} + (one->key % {a} ? sqrt(one->value) : strtod(text, 0));\n\
                 \x20   for (size_t i = 0; i < length; i++)\n\
                 \x20       switch (text[i] % {a}) {{ case 0: sum += i; break; case 1: sum -= i * {b}; break;\n\
                 \x20       case 2: sum *= 1.5; break; default: sum += snprintf(0, 0, \"%zu %g\", i, sum); }}\n\
                 \x20   return (int)sum;\n}}"
            )?;
        }
        Ok(())
    })
}

/// A million rows in memory, an index, groups, an update, a delete.
pub(super) fn sql(dir: &Path) -> Result<()> {
    make(&dir.join("workload.sql"), |file| {
        Ok(file.write_all(
            b"CREATE TABLE row (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, weight REAL);\n\
              WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)\n\
              INSERT INTO row SELECT i, i * 7919 % 1009, printf('name %x', i * 31), i / 7.0 FROM n;\n\
              CREATE INDEX by_kind ON row (kind, weight);\n\
              SELECT kind, count(*), round(sum(weight), 2), min(name) FROM row GROUP BY kind\n\
              ORDER BY 3 DESC LIMIT 50;\n\
              UPDATE row SET name = name || ' changed' WHERE kind < 100;\n\
              DELETE FROM row WHERE id % 5 = 0;\n\
              SELECT a.kind, group_concat(b.name, ',') FROM row a JOIN row b ON b.id = a.id - 1\n\
              WHERE a.kind = 17 GROUP BY a.kind;\n\
              SELECT count(*), sum(length(name)) FROM row;\n",
        )?)
    })
}

/// A crate without dependencies, in the folder of the run, so that nothing of it is built yet.
pub(super) fn small_crate(_: &Path, area: &Path) -> Result<()> {
    fs::create_dir(area.join("src"))?;
    fs::write(
        area.join("Cargo.toml"),
        "[package]\nname = \"small\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    let mut code = String::from("//! A small crate.\nuse std::collections::HashMap;\n");
    for index in 0..100 {
        writeln!(
            code,
            "pub fn f{index}(words: &[String]) -> HashMap<&str, usize> {{\n\
             \x20   let mut map = HashMap::new();\n\
             \x20   for word in words {{ *map.entry(word.as_str()).or_insert({index}) += 1; }}\n\
             \x20   map\n}}"
        )?;
    }
    Ok(fs::write(area.join("src/lib.rs"), code)?)
}

/// An archive of the system's headers.
pub(super) fn tree(dir: &Path) -> Result<()> {
    let file = dir.join("tree.tar");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "-cf"]).arg(file).args(["-C", "/usr", "include"]);
    output(&mut tar).map(drop)
}
