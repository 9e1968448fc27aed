//! The promises of the layers about time: delays, stops, rates and calls at once. The clock is paused.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use migrate_core::layer::{Limit, Retry, RetryPolicy};
use migrate_core::names::TableName;
use migrate_core::sink::{WriteBatch, WriteMode, WriteRecord};
use migrate_core::stop::{GRACE, Stop};
use migrate_core::testing::{Faults, Faulty, MemorySink, When, write_record};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Event, Fanout, Observer, Sink};

fn silent() -> Arc<dyn Observer> {
    Arc::new(Fanout::default())
}

fn hundred() -> (TableName, Vec<WriteRecord>) {
    let items: TableName = "items".parse().unwrap();
    let records = (0..100).map(|id| write_record(&items, &id.to_string(), &[("n", Value::Int64(id))])).collect();
    (items, records)
}

/// An observer that keeps the delays of repeats.
#[derive(Debug, Default)]
struct Delays(Mutex<Vec<Duration>>);

impl Observer for Delays {
    fn on_event(&self, event: &Event) {
        if let Event::Retried { delay, .. } = event {
            self.0.lock().unwrap().push(*delay);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn delays_are_drawn_from_zero_up_to_growing_bounds_and_added_to_what_was_asked() {
    let (items, records) = hundred();
    let delays_of = async |seed: u64, asked: Option<Duration>| {
        let faults = Faults::default();
        for call in 1..=8 {
            faults.fail("write_batch", call, When::Before, move || {
                let busy = Error::new(ErrorKind::RateLimited, "write so fast");
                asked.map_or_else(|| Error::new(ErrorKind::Unavailable, "serve"), |asked| busy.with_retry_after(asked))
            });
        }
        let policy = RetryPolicy { jitter_seed: Some(seed), ..RetryPolicy::default() };
        let observer = Arc::new(Delays::default());
        let sink = Retry::new(Faulty::new(MemorySink::default(), faults), policy, observer.clone());
        sink.write_batch(WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records }).await.unwrap();
        observer.0.lock().unwrap().clone()
    };
    let bounds = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0];
    let mut firsts = Vec::new();
    for seed in 0..200 {
        let delays = delays_of(seed, None).await;
        assert_eq!(delays.len(), bounds.len());
        for (delay, bound) in delays.iter().zip(bounds) {
            assert!(delay.as_secs_f64() <= bound, "{delay:?} of {bound} s");
        }
        firsts.push(delays[0].as_secs_f64() / bounds[0]);
    }
    // Spread over the whole width, not around one time: each quarter has its share of 200 seeds.
    for quarter in [0.0, 0.25, 0.5, 0.75] {
        let share = firsts.iter().filter(|&&first| (quarter..quarter + 0.25).contains(&first)).count();
        assert!(share > 25, "{share} of 200 at {quarter}");
    }
    assert_eq!(delays_of(7, None).await, delays_of(7, None).await, "a seed gives the same delays");
    let asked = Duration::from_mins(1);
    assert!(delays_of(7, Some(asked)).await.iter().all(|delay| *delay >= asked), "the other side's wish comes first");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_a_repeat_at_once_and_a_call_that_hangs_after_its_grace() {
    let (items, records) = hundred();
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    for (hangs, expected) in [(false, Duration::from_secs(3)), (true, Duration::from_secs(3) + GRACE)] {
        let faults = Faults::default();
        if hangs {
            faults.delay("write_batch", Duration::from_hours(1));
        } else {
            let busy = || Error::new(ErrorKind::RateLimited, "write so fast").with_retry_after(Duration::from_mins(4));
            faults.fail("write_batch", 1, When::Before, busy);
        }
        let stop = Stop::default();
        let sink = Retry::new(Faulty::new(MemorySink::default(), faults.clone()), RetryPolicy::default(), silent());
        let sink = sink.with_stop(stop.clone());
        let started = tokio::time::Instant::now();
        let ask = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stop.request();
        };
        let (written, ()) = tokio::join!(sink.write_batch(batch), ask);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Interrupted);
        assert!(started.elapsed() >= expected, "{:?}", started.elapsed());
        assert!(started.elapsed() < expected + Duration::from_secs(1), "{:?}", started.elapsed());
    }
    // A call that ends within the grace counts as ever.
    let faults = Faults::default();
    faults.delay("write_batch", GRACE / 2);
    let stop = Stop::default();
    stop.request();
    let sink = Retry::new(Faulty::new(MemorySink::default(), faults), RetryPolicy::default(), silent()).with_stop(stop);
    assert_eq!(sink.write_batch(batch).await.unwrap().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_write_rate_spaces_writes_by_their_bytes() {
    let (items, records) = hundred();
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    let sink = MemorySink::default();
    let bytes: usize = records.iter().map(|record| sink.measure(record).unwrap()).sum();
    let sink = Limit::new(sink, 8).with_write_rate(u64::try_from(bytes).unwrap() / 10);
    let started = tokio::time::Instant::now();
    // Each batch costs ten seconds; the first goes at once.
    let _ = tokio::join!(sink.write_batch(batch), sink.write_batch(batch), sink.write_batch(batch), async {
        sink.write_batch(batch).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(30), "{:?}", started.elapsed());
    });
    assert!(started.elapsed() < Duration::from_secs(31), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn fewer_calls_are_on_the_way_while_the_other_side_asks_for_less() {
    let (items, records) = hundred();
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    let faults = Faults::default();
    faults.delay("write_batch", Duration::from_secs(1));
    faults.fail("write_batch", 1, When::Before, || Error::new(ErrorKind::RateLimited, "write so fast"));
    let sink = Limit::new(Faulty::new(MemorySink::default(), faults.clone()), 8);
    assert!(sink.write_batch(batch).await.is_err());
    assert_eq!(sink.calls(), 4);
    let started = tokio::time::Instant::now();
    let write = async || sink.write_batch(batch).await.unwrap();
    let _ = tokio::join!(write(), write(), write(), write(), write(), write(), write(), write());
    assert!(started.elapsed() >= Duration::from_secs(2), "eight calls went at once: {:?}", started.elapsed());
    assert_eq!(sink.calls(), 5, "four answers allow one more, five the next");
}
