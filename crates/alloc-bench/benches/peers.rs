//! Time per operation of each allocator and its peers, by criterion.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

mod contenders;

fn all(criterion: &mut Criterion) {
    for case in contenders::cases() {
        let mut group = criterion.benchmark_group(case.name);
        for contender in case.contenders {
            group.bench_function(contender.name, |bencher| bencher.iter_custom(contender.run));
        }
        group.finish();
    }
}

criterion_group! {
    name = peers;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(peers);
