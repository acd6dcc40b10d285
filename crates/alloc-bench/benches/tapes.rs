//! One workload of one contender in a loop, for tools that count instructions.
//!
//! `tapes --workload arena/values --allocator bumpalo --count 10000`; without arguments it lists what
//! there is. The count of instructions of two runs, divided by the difference of their counts, is
//! the cost of one operation: starting and ending the process cancel out.

use std::process::ExitCode;

mod contenders;

use contenders::cases;

struct Arguments {
    workload: String,
    allocator: String,
    count: u64,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench` to whatever it runs.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.is_empty() {
        for case in cases() {
            for contender in case.contenders {
                println!("{} {}", case.name, contender.name);
            }
        }
        return ExitCode::SUCCESS;
    }
    match parse(&words).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tapes: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let [mut workload, mut allocator, mut count] = [None, None, None];
    for pair in words.chunks(2) {
        let slot = match pair[0].as_str() {
            "--workload" => &mut workload,
            "--allocator" => &mut allocator,
            "--count" => &mut count,
            other => {
                return Err(format!(
                    "unknown option {other}; there are --workload, --allocator, --count"
                ));
            }
        };
        let value = pair.get(1).ok_or_else(|| format!("{} needs a value", pair[0]))?;
        if slot.replace(value.clone()).is_some() {
            return Err(format!("{} is there twice", pair[0]));
        }
    }
    let count = count.ok_or("--count is missing")?;
    Ok(Arguments {
        workload: workload.ok_or("--workload is missing")?,
        allocator: allocator.ok_or("--allocator is missing")?,
        count: count.parse().map_err(|_| format!("{count:?} is no count"))?,
    })
}

fn run(Arguments { workload, allocator, count }: &Arguments) -> Result<(), String> {
    let case = cases().find(|case| case.name == workload);
    let case = case.ok_or_else(|| format!("no workload {workload}; tapes alone lists them"))?;
    let contender = case.contenders.iter().find(|contender| contender.name == allocator);
    let contender = contender.ok_or_else(|| format!("no {allocator} in {workload}"))?;
    (contender.run)(*count);
    Ok(())
}
