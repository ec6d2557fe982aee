//! Hedges and the time of an attempt and of a run.

use limitpal::StopReason;

use super::*;

#[test]
fn an_attempt_whose_time_is_over_drops_all_its_tries() {
    let clock = MockClock::new();
    let builder = hedged(&clock, after(100 * MS).max_hedges(3)).attempt_timeout(250 * MS);
    let policy = RetryPolicy::builder().max_attempts(2).base_delay(Duration::ZERO);
    let executor = builder.retry_policy(policy.build().unwrap()).build().unwrap();
    let service = Service::new(&clock, [ok(900 * MS)]);

    let end = drive(&clock, executor.run("api", || service.call())).unwrap_err();

    assert!(matches!(end, RunError::TimeoutExceeded(_) | RunError::RetryExhausted(_)), "{end:?}");
    assert_eq!(vec![0, 100, 200, 250, 350, 450], service.began());
    assert_eq!((0, None), (service.under_way.get(), clock.next_deadline()));
    let stats = executor.stats();
    assert_eq!((1, 1, 4, 6), (stats.firsts, stats.retries, stats.hedges, stats.attempts));
}

#[test]
fn no_hedge_begins_once_the_run_s_time_is_over() {
    for (timeout, tries) in [(200, 2), (201, 3)] {
        let clock = MockClock::new();
        let hedge = after(100 * MS).max_hedges(3);
        let executor = hedged(&clock, hedge).timeout(MS * timeout).build().unwrap();
        let service = Service::new(&clock, [ok(900 * MS)]);

        let end = drive(&clock, executor.run("api", || service.call()));

        assert!(matches!(end, Err(RunError::TimeoutExceeded(_))));
        assert_eq!(tries, service.began().len(), "at {timeout} ms");
    }
}

#[test]
fn who_wakes_late_begins_no_hedge_after_the_deadline() {
    let clock = MockClock::new();
    let executor = hedged(&clock, after(100 * MS)).timeout(200 * MS).build().unwrap();
    let service = Service::new(&clock, [ok(900 * MS)]);
    let mut run = pin!(executor.run("api", || service.call()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(run.as_mut().poll(&mut context).is_pending());

    clock.advance(200 * MS);

    assert!(matches!(run.poll(&mut context), Poll::Ready(Err(RunError::TimeoutExceeded(_)))));
    assert_eq!(1, service.began().len());
}

#[test]
fn a_retry_that_has_no_time_gets_no_hedge_either() {
    let clock = MockClock::new();
    let policy = RetryPolicy::builder().base_delay(MS * 100).build().unwrap();
    let executor =
        hedged(&clock, after(100 * MS)).retry_policy(policy).timeout(150 * MS).build().unwrap();
    let service = Service::new(&clock, [err(90 * MS, "down")]);

    let end = drive(&clock, executor.run("api", || service.call()));

    let Err(RunError::RetryExhausted(end)) = end else { panic!("{end:?}") };
    assert_eq!(StopReason::Deadline, end.reason);
    assert_eq!(1, service.began().len());
}

#[test]
fn a_hedge_that_could_never_begin_is_refused() {
    let says = |builder: ResilientExecutorBuilder<&str>| builder.build().unwrap_err().to_string();
    let clock = MockClock::new();

    assert_eq!(
        "delay is 1s; give less than an attempt may last (1s)",
        says(hedged(&clock, after(1000 * MS)).attempt_timeout(1000 * MS).timeout(5000 * MS)),
    );
    assert_eq!(
        "delay is 6s; give less than an attempt may last (5s)",
        says(hedged(&clock, after(6000 * MS)).timeout(5000 * MS)),
    );
    let builder = hedged::<&str>(&clock, after(6000 * MS).percentile(90.0));
    assert!(builder.timeout(5000 * MS).build().is_ok(), "the percentile may be less");
}
