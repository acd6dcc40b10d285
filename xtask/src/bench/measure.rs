//! Runs the contenders of a crate's cases and Zig's: times in turn, then instructions.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context, Result, anyhow, ensure};

use super::callgrind::{Callgrind, Instructions, counts_of};
use super::median;
use super::plan::{Subject, ZIG};
use super::process::wait;
use super::progress::Progress;
use super::tapes::{Contender, Criterion, contenders};
use super::zig::Zig;

/// What one contender of one case takes for one operation.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) contender: Contender,
    /// By criterion, within a process.
    pub(super) time: Option<Time>,
    /// The processors' time of whole processes: how ours and Zig's, which has no criterion, are compared.
    pub(super) process_time: Option<Time>,
    /// All instructions in user space.
    pub(super) instructions: Option<f64>,
}

/// Nanoseconds for one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) median: f64,
    /// How far the middle half of the runs is apart, as a part of the median.
    pub(super) noise: f64,
}

impl Time {
    fn of(mut runs: Vec<f64>) -> Self {
        runs.sort_by(f64::total_cmp);
        let (low, high) = (runs[runs.len() / 4], runs[runs.len() - 1 - runs.len() / 4]);
        let median = median(runs);
        Self { median, noise: (high - low) / median }
    }
}

/// How much is run.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    /// How long one measurement takes, about.
    pub(super) seconds: f64,
}

/// What all subjects of a run need.
pub(super) struct Tools {
    effort: Effort,
    contenders: Vec<Contender>,
    criterion: Criterion,
    callgrind: Result<Callgrind>,
    zig: Result<Zig>,
}

impl Tools {
    pub(super) fn find(effort: Effort) -> Result<Self> {
        eprintln!("building the benches");
        Ok(Self {
            effort,
            contenders: contenders()?,
            criterion: Criterion::build(effort.seconds)?,
            callgrind: Callgrind::find(),
            zig: Zig::find(),
        })
    }

    /// How long the subjects take, about: each measurement with what is around it, each count.
    pub(super) fn minutes(&self, subjects: &[&Subject]) -> f64 {
        let is_of = |one: &&Contender| subjects.iter().any(|subject| subject.has(&one.case));
        let count = self.contenders.iter().filter(is_of).count() as f64;
        let Effort { rounds, seconds } = self.effort;
        let each = rounds as f64 * (3.0 * seconds + 0.3) + 1.0;
        (count * each + 30.0 * subjects.len() as f64) / 60.0
    }
}

/// What was found for a subject.
pub(super) struct Results {
    pub(super) list: Vec<Measured>,
    /// What could not be run, and why.
    pub(super) missing: Vec<String>,
}

/// Measures the cases of a subject that are `wanted`.
pub(super) fn measure(
    tools: &Tools,
    subject: &Subject,
    wanted: impl Fn(&str) -> bool,
) -> Result<Results> {
    let mut contenders: Vec<Contender> = tools
        .contenders
        .iter()
        .filter(|one| subject.has(&one.case) && wanted(&one.case))
        .cloned()
        .collect();
    let mut missing = Vec::new();
    let zig = tools.zig.as_ref().map_err(|why| anyhow!("{why:#}"));
    match zig.and_then(|zig| with_zig(&contenders, subject, zig)) {
        Ok(more) => contenders = more,
        Err(why) => missing.push(format!("Zig's rows: {why:#}")),
    }
    let mut list = times(tools, subject, contenders)?;
    process_times(tools.effort, subject, &mut list)?;
    match &tools.callgrind {
        Ok(callgrind) => {
            let contenders: Vec<Contender> = list.iter().map(|one| one.contender.clone()).collect();
            for (one, counted) in list.iter_mut().zip(count(callgrind, subject.name, &contenders)?)
            {
                one.instructions = Some(counted.all);
            }
        }
        Err(why) => missing.push(format!("instructions: {why:#}")),
    }
    Ok(Results { list, missing })
}

/// Puts Zig's contender behind those of each case that it has.
fn with_zig(list: &[Contender], subject: &Subject, zig: &Zig) -> Result<Vec<Contender>> {
    // What rustc builds for, and what valgrind knows.
    let program = zig.build(subject.zig.0, "ReleaseFast", Some("baseline"))?;
    let mut all: Vec<Contender> = Vec::new();
    for (index, one) in list.iter().enumerate() {
        all.push(one.clone());
        let is_last = list.get(index + 1).is_none_or(|next| next.case != one.case);
        if is_last && let Some(workload) = subject.zig_workload(&one.case) {
            let words = vec![workload.to_owned()];
            let case = one.case.clone();
            all.push(Contender { case, name: ZIG.into(), program: program.clone(), words });
        }
    }
    Ok(all)
}

/// Criterion's times: round by round each contender once, so that a busy minute meets all alike.
fn times(tools: &Tools, subject: &Subject, contenders: Vec<Contender>) -> Result<Vec<Measured>> {
    let Effort { rounds, .. } = tools.effort;
    let by_criterion = |one: &Contender| one.name != ZIG;
    let mut runs = vec![Vec::new(); contenders.len()];
    let total = contenders.iter().filter(|one| by_criterion(one)).count() * rounds;
    let mut progress = Progress::new(format!("{}: times", subject.name), total);
    for _ in 0..rounds {
        for (one, runs) in contenders.iter().zip(&mut runs).filter(|(one, _)| by_criterion(one)) {
            progress.next(&format!("{} {}", one.case, one.name));
            runs.push(tools.criterion.measure(one)?);
        }
    }
    let measured = |(contender, runs): (Contender, Vec<f64>)| Measured {
        contender,
        time: (!runs.is_empty()).then(|| Time::of(runs)),
        process_time: None,
        instructions: None,
    };
    Ok(contenders.into_iter().zip(runs).map(measured).collect())
}

/// Times ours and Zig's as processes, in turn, in the cases that Zig has.
fn process_times(effort: Effort, subject: &Subject, list: &mut [Measured]) -> Result<()> {
    let zigs: Vec<String> = list
        .iter()
        .filter(|one| one.contender.name == ZIG)
        .map(|one| one.contender.case.clone())
        .collect();
    let mut chosen: Vec<(u64, &mut Measured, Vec<f64>)> = Vec::new();
    let mut count = 0;
    for one in list {
        let Contender { case, name, .. } = &one.contender;
        if !zigs.contains(case) || (name != ZIG && !one.contender.is_ours()) {
            continue;
        }
        // All of a case make as many operations: whole rounds, about as long as criterion measures.
        if let Some(time) = one.time.filter(|_| name != ZIG) {
            let whole = counts_of(case)[0];
            count = ((effort.seconds * 1e9 / time.median) as u64).div_ceil(whole) * whole;
        }
        chosen.push((count, one, Vec::new()));
    }
    let total = chosen.len() * effort.rounds;
    let mut progress = Progress::new(format!("{}: processes", subject.name), total);
    for _ in 0..effort.rounds {
        for (count, one, runs) in &mut chosen {
            progress.next(&format!("{} {}", one.contender.case, one.contender.name));
            let time = cpu(&one.contender, *count)? - cpu(&one.contender, 0)?;
            runs.push(time.max(0.0) * 1e9 / *count as f64);
        }
    }
    for (_, one, runs) in chosen {
        one.process_time = Some(Time::of(runs));
    }
    Ok(())
}

/// Seconds of the processors' time of a run.
fn cpu(contender: &Contender, count: u64) -> Result<f64> {
    let mut command = contender.command(count);
    let (status, cost) = wait(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    ensure!(status == 0, "{command:?}: wait status {status:#x}");
    Ok(cost.cpu)
}

/// Instructions of each contender for one operation; as many run at once as there are processors, which
/// changes no count.
pub(super) fn count(
    callgrind: &Callgrind,
    what: &str,
    contenders: &[Contender],
) -> Result<Vec<Instructions>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; contenders.len()]);
    let progress = Mutex::new(Progress::new(format!("{what}: instructions"), contenders.len()));
    let work = || -> Result<()> {
        loop {
            // Relaxed: hands each index out once; the results go through the mutex.
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = contenders.get(index) else { return Ok(()) };
            let name = format!("{} {}", one.case, one.name);
            locked(&progress)?.next(&name);
            let counted = callgrind.per_operation(counts_of(&one.case), |count| one.command(count));
            let counted = counted.with_context(|| name)?;
            locked(&results)?[index] = Some(counted);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a thread died"))?)
    })?;
    let results = std::mem::take(&mut *locked(&results)?);
    results.into_iter().map(|one| one.context("a case was not counted")).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| anyhow!("a thread that counts instructions died"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_that_of_the_middle_half() {
        let time = Time::of(vec![10.0, 100.0, 11.0, 12.0, 9.0]);
        assert_eq!(time.median, 11.0);
        assert!((time.noise - 2.0 / 11.0).abs() < 1e-12);
        assert_eq!(Time::of(vec![3.0]).noise, 0.0);
    }
}
