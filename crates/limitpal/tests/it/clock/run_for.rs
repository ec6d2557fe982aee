//! `run_for`: every deadline on the way is a stop where tasks settle, on any fair executor.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock};

const SECOND: Duration = Duration::from_secs(1);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The plainest executor there is: one thread, and whoever is woken goes to the end of the queue.
#[derive(Clone, Default)]
struct Pool {
    tasks: Arc<Mutex<Vec<Option<Task>>>>,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

struct PoolWaker {
    task: usize,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for PoolWaker {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push_back(self.task);
    }
}

impl Pool {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap();
        tasks.push(Some(Box::pin(task)));
        self.woken.lock().unwrap().push_back(tasks.len() - 1);
    }

    /// Runs until every task is done.
    fn run(&self) {
        while let Some(number) = { self.woken.lock().unwrap().pop_front() } {
            let Some(mut task) = self.tasks.lock().unwrap()[number].take() else { continue };
            let waker: Waker =
                Arc::new(PoolWaker { task: number, woken: self.woken.clone() }).into();
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.lock().unwrap()[number] = Some(task);
            }
        }
        assert!(self.tasks.lock().unwrap().iter().all(Option::is_none), "a task waits for ever");
    }
}

/// Runs the same story on our own pool and on tokio's single thread.
fn on_each_executor(story: impl Fn(&dyn Fn(Task))) {
    let pool = Pool::default();
    story(&|task| pool.spawn(task));
    pool.run();

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tasks = Mutex::new(Vec::new());
    runtime.block_on(async {
        story(&|task| tasks.lock().unwrap().push(tokio::spawn(task)));
        for task in tasks.into_inner().unwrap() {
            task.await.unwrap();
        }
    });
}

/// Ticks every `period` and counts, as a background job would.
async fn tick(clock: MockClock, period: Duration, ticks: Arc<AtomicU32>, done: Arc<AtomicBool>) {
    while !done.load(Ordering::Relaxed) {
        clock.sleep(period).await;
        ticks.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_one_second_ticker_ticks_sixty_times_in_a_minute() {
    on_each_executor(|spawn| {
        let (clock, ticks, done) = (MockClock::new(), Arc::default(), Arc::default());
        let ticker = tick(clock.clone(), SECOND, Arc::clone(&ticks), Arc::clone(&done));
        spawn(Box::pin(async move {
            clock.run_for(SECOND * 60).await;
            assert_eq!(60, ticks.load(Ordering::Relaxed));
            assert_eq!(Instant::ZERO + SECOND * 60, clock.now());
            done.store(true, Ordering::Relaxed);
            clock.advance(SECOND);
        }));
        spawn(Box::pin(ticker));
    });
}

#[test]
fn a_hundred_tickers_of_different_periods_all_keep_their_beat() {
    on_each_executor(|spawn| {
        let (clock, done) = (MockClock::new(), Arc::new(AtomicBool::new(false)));
        let counters: Vec<Arc<AtomicU32>> = (0..100).map(|_| Arc::default()).collect();
        for (period, ticks) in (1..).zip(&counters) {
            let period = Duration::from_millis(period);
            spawn(Box::pin(tick(clock.clone(), period, ticks.clone(), done.clone())));
        }
        spawn(Box::pin(async move {
            clock.run_for(Duration::from_millis(200)).await;
            for (period, ticks) in (1..).zip(&counters) {
                assert_eq!(200 / period, ticks.load(Ordering::Relaxed), "period {period}");
            }
            done.store(true, Ordering::Relaxed);
            clock.advance(SECOND);
        }));
    });
}

/// Lets the others run first.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_that_sleeps_anew_many_turns_after_waking_is_waited_for() {
    on_each_executor(|spawn| {
        let (clock, ticks) = (MockClock::new(), Arc::new(AtomicU32::new(0)));
        let (sleeper, counter) = (clock.clone(), ticks.clone());
        spawn(Box::pin(async move {
            clock.run_for(SECOND * 10).await;
            assert_eq!(10, ticks.load(Ordering::Relaxed));
        }));
        spawn(Box::pin(async move {
            for _ in 0..10 {
                for _ in 0..60 {
                    yield_now().await;
                }
                sleeper.sleep(SECOND).await;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }));
    });
}

#[test]
fn every_sign_of_life_starts_the_wait_for_quiet_anew() {
    on_each_executor(|spawn| {
        let (clock, ticks) = (MockClock::new(), Arc::new(AtomicU32::new(0)));
        let (sleeper, counter) = (clock.clone(), ticks.clone());
        spawn(Box::pin(async move {
            clock.run_for(SECOND * 10).await;
            assert_eq!(10, ticks.load(Ordering::Relaxed));
        }));
        spawn(Box::pin(async move {
            for _ in 0..10 {
                for _ in 0..5 {
                    for _ in 0..40 {
                        yield_now().await;
                    }
                    // Somebody comes and goes, as a task with a timeout does.
                    let id = sleeper.register(Instant::MAX, Waker::noop().clone());
                    drop(sleeper.unregister(id));
                }
                sleeper.sleep(SECOND).await;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }));
    });
}

#[test]
fn a_blocking_sleep_beyond_the_end_is_not_taken_back() {
    on_each_executor(|spawn| {
        let clock = MockClock::new();
        let sleeper = clock.clone();
        spawn(Box::pin(async move {
            clock.run_for(SECOND).await;
            assert_eq!(Instant::ZERO + SECOND * 5, clock.now());
            assert_eq!(Instant::ZERO + SECOND * 5, clock.steady());
        }));
        spawn(Box::pin(async move { sleeper.sleep_blocking(SECOND * 5) }));
    });
}

#[test]
fn tasks_that_never_settle_do_not_stop_time() {
    on_each_executor(|spawn| {
        let (clock, done) = (MockClock::new(), Arc::new(AtomicBool::new(false)));
        let (restless, stop) = (clock.clone(), done.clone());
        spawn(Box::pin(async move {
            clock.run_for(SECOND).await;
            done.store(true, Ordering::Relaxed);
            assert_eq!(Instant::ZERO + SECOND, clock.now());
        }));
        spawn(Box::pin(async move {
            while !stop.load(Ordering::Relaxed) {
                let id = restless.register(Instant::MAX, Waker::noop().clone());
                drop(restless.unregister(id));
                yield_now().await;
            }
        }));
    });
}

#[test]
fn the_future_can_be_sent_to_another_thread() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let clock = MockClock::new();
    let run = sendable(clock.run_for(SECOND));

    let pool = Pool::default();
    let checked = clock.clone();
    pool.spawn(async move {
        checked.run_for(SECOND).await;
        assert_eq!(Instant::ZERO + SECOND, checked.now());
    });
    pool.run();

    drop(run);
    assert_eq!(Instant::ZERO + SECOND, clock.now());
}
