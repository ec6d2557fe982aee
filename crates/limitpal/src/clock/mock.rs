//! A clock that only the test moves.

mod sleepers;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::sleepers::Sleepers;
use super::{Clock, Sleep};
use crate::sync::atomic::{AtomicI64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// A clock for tests: time stands still until it is moved. Cloning shares the clock.
///
/// - An async sleep suspends until [`advance`](Self::advance), [`set_time`](Self::set_time) or
///   [`run_for`](Self::run_for) brings the clock to its deadline.
/// - A blocking sleep moves the clock to its own deadline, the time of the call and the span, and
///   never further: two threads that sleep five seconds from zero end at five.
/// - Sleepers are woken in the order of their deadlines, first come first served among equals,
///   after time has moved.
/// - A sleep that is dropped never moves time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use limitpal::{Clock, Instant, MockClock};
///
/// let clock = MockClock::new();
/// clock.advance(Duration::from_millis(1500));
/// clock.sleep_blocking(Duration::from_millis(500));
/// assert_eq!(Instant::ZERO + Duration::from_secs(2), clock.now());
/// ```
#[derive(Clone, Default)]
pub struct MockClock(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// What limiters and sleepers count by: it never steps back. Written under the lock.
    steady: AtomicI64,
    /// What the test reads: `set_time` may set it back. Written under the lock.
    visible: AtomicI64,
    sleepers: Mutex<Sleepers>,
}

impl MockClock {
    /// Returns a clock that stands at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a clock that stands at `start`.
    pub fn starting_at(start: Instant) -> Self {
        let clock = Self::new();
        clock.0.steady.store(start.as_nanos(), Ordering::Release);
        clock.0.visible.store(start.as_nanos(), Ordering::Release);
        clock
    }

    /// Returns the time it was last set or moved to.
    #[inline]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.0.visible.load(Ordering::Acquire))
    }

    /// Moves time forward by `span` and wakes who is due.
    pub fn advance(&self, span: Duration) {
        {
            let _sleepers = self.lock();
            self.move_to(self.steady() + span);
        }
        self.wake_due();
    }

    /// Sets the time. Back is allowed: sleepers then keep the time they had left.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use limitpal::{Instant, MockClock};
    ///
    /// let clock = MockClock::starting_at(Instant::from_nanos(7_000));
    /// clock.set_time(Instant::ZERO);
    /// assert_eq!(Instant::ZERO, clock.now());
    /// ```
    pub fn set_time(&self, time: Instant) {
        {
            let _sleepers = self.lock();
            let forward = time.saturating_duration_since(self.now());
            self.move_to(self.steady() + forward);
            self.0.visible.store(time.as_nanos(), Ordering::Release);
        }
        self.wake_due();
    }

    /// Returns the time left to the earliest sleeper's deadline; `None` when nobody sleeps.
    pub fn next_deadline(&self) -> Option<Duration> {
        let sleepers = self.lock();
        Some(sleepers.earliest()?.saturating_duration_since(self.steady()))
    }

    /// Moves time forward by `span`, stopping at every deadline on the way so that the tasks woken
    /// there run, and may sleep anew, before time goes on. A one-second ticker ticks sixty times in
    /// `run_for` of a minute, where [`advance`](Self::advance) would wake it once.
    ///
    /// No executor says when its tasks have settled, so at each stop this yields to it until no
    /// sleeper has come, woken or left for 64 turns. That is exact on an executor with one thread
    /// that runs woken tasks in turn, tokio's `current_thread` for one, as long as no task takes
    /// more than 64 turns without touching the clock. It cannot see a task on another thread.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use limitpal::{Clock, Instant, MockClock};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let clock = MockClock::new();
    /// let ticker = async {
    ///     let mut ticks = 0;
    ///     while clock.now() < Instant::ZERO + Duration::from_secs(60) {
    ///         clock.sleep(Duration::from_secs(1)).await;
    ///         ticks += 1;
    ///     }
    ///     ticks
    /// };
    /// let (ticks, ()) = tokio::join!(ticker, clock.run_for(Duration::from_secs(60)));
    /// assert_eq!(60, ticks);
    /// # });
    /// ```
    pub async fn run_for(&self, span: Duration) {
        let end = self.steady() + span;
        self.settle().await;
        while let Some(deadline) = self.earliest().filter(|deadline| *deadline <= end) {
            self.advance_to(deadline);
            self.settle().await;
        }
        self.advance_to(end);
    }

    /// Yields until nothing has happened on this clock for a while.
    async fn settle(&self) {
        const QUIET_TURNS: u32 = 64;
        // Two tasks that wake each other for ever never settle; time goes on past them.
        const MOST_TURNS: u32 = 100_000;
        let (mut seen, mut quiet) = (self.lock().events(), 0);
        for _ in 0..MOST_TURNS {
            Yield { yielded: false }.await;
            let events = self.lock().events();
            quiet = if events == seen { quiet + 1 } else { 0 };
            seen = events;
            if quiet == QUIET_TURNS {
                return;
            }
        }
    }

    /// Sleeps until steady time reaches `deadline`.
    pub(super) fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(MockSleep { clock: self.clone(), deadline, id: None })
    }

    /// Returns whether both are one clock.
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn earliest(&self) -> Option<Instant> {
        self.lock().earliest()
    }

    /// Moves steady time to `deadline` unless it is there already, and wakes who is due.
    fn advance_to(&self, deadline: Instant) {
        {
            let _sleepers = self.lock();
            self.move_to(deadline);
        }
        self.wake_due();
    }

    /// Moves both times forward, until the steady one is at `deadline`. The caller holds the lock.
    fn move_to(&self, deadline: Instant) {
        let steady = self.steady();
        let visible = self.now() + deadline.saturating_duration_since(steady);
        self.0.visible.store(visible.as_nanos(), Ordering::Release);
        self.0.steady.store(deadline.max(steady).as_nanos(), Ordering::Release);
    }

    /// Wakes who is due, one by one: a waker runs without the lock, so it may sleep anew, and one
    /// that panics takes nobody's place.
    fn wake_due(&self) {
        loop {
            let due = self.lock().pop_due(self.steady());
            let Some(waker) = due else { return };
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        // Nothing of the user's runs under this lock, so a poisoned one is whole.
        self.0.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For whoever drives tasks of another runtime, as the Python package does.
#[doc(hidden)]
impl MockClock {
    /// Returns the time that never steps back: sleepers and limiters count by it.
    #[inline]
    pub fn steady(&self) -> Instant {
        Instant::from_nanos(self.0.steady.load(Ordering::Acquire))
    }

    /// Wakes `waker` once steady time reaches `deadline`, before returning if it has. The number
    /// it returns is for [`unregister`](Self::unregister).
    pub fn register(&self, deadline: Instant, waker: Waker) -> u64 {
        let (id, due) = {
            let mut sleepers = self.lock();
            (sleepers.insert(deadline, waker), deadline <= self.steady())
        };
        if due {
            self.wake_due();
        }
        id
    }

    /// Forgets a sleeper and returns its waker, so that the caller drops it outside the lock.
    pub fn unregister(&self, id: u64) -> Option<Waker> {
        self.lock().remove(id)
    }

    /// Moves time to the earliest deadline and wakes who is due; false when nobody sleeps.
    pub fn jump(&self) -> bool {
        {
            let sleepers = self.lock();
            let Some(deadline) = sleepers.earliest() else { return false };
            self.move_to(deadline);
        }
        self.wake_due();
        true
    }
}

impl Clock for MockClock {
    fn now(&self) -> Instant {
        Self::now(self)
    }

    fn sleep_blocking(&self, span: Duration) {
        self.advance_to(self.steady() + span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.steady() + span)
    }
}

impl fmt::Debug for MockClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sleepers = self.lock().len();
        f.debug_struct("MockClock").field("now", &self.now()).field("sleepers", &sleepers).finish()
    }
}

/// A sleep of a mock clock. It takes its place in line when it is first polled.
struct MockSleep {
    clock: MockClock,
    deadline: Instant,
    id: Option<u64>,
}

impl Future for MockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // A waker is the executor's code: cloned before the lock is taken, dropped after.
        let waker = context.waker().clone();
        let (due, _old) = {
            let mut sleepers = this.clock.lock();
            if this.deadline <= this.clock.steady() {
                (true, this.id.take().and_then(|id| sleepers.remove(id)))
            } else if let Some(id) = this.id {
                (false, sleepers.replace(id, waker))
            } else {
                this.id = Some(sleepers.insert(this.deadline, waker));
                (false, None)
            }
        };
        if due { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for MockSleep {
    fn drop(&mut self) {
        drop(self.id.and_then(|id| self.clock.unregister(id)));
    }
}

/// Lets every task that is already woken run before the one that awaits this.
struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
