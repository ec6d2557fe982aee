//! Attempts on threads of their own: of a blocking function that can be left behind.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Result as Unwound;

use super::error::{Last, RunError};
use super::start::Entry;
use super::{ResilientExecutor, race};
use crate::call::{Call, Charge, Ledger};
use crate::clock::unparker;
use crate::limiter::CompositePermit;
use crate::sync::{Mutex, thread};

impl<E: Send + 'static> ResilientExecutor<E> {
    /// As [`run_blocking`](Self::run_blocking), with each call of the function on a thread of its
    /// own: so an attempt ends when its time is over, and a slow one gets its hedge.
    ///
    /// A thread cannot be ended from outside. A call that has lost to a hedge, or whose time is
    /// over, is *left behind*: it goes on until it returns, and its effects happen. Its value or
    /// error is dropped, and counted:
    /// [`ExecutorStats::left_behind`](crate::ExecutorStats::left_behind). The permit of a
    /// concurrency limiter goes back when the run and every call of it has ended. A panic comes out
    /// of the run, unless its call was left behind. Where there is no thread to be had, the function
    /// is called in the caller's own.
    ///
    /// On a [`MockClock`](crate::MockClock) time passes when somebody moves it; a function that
    /// sleeps on it in its thread does.
    ///
    /// ```
    /// use limitpal::{ResilientExecutor, RunError};
    /// use std::time::Duration;
    ///
    /// let executor = ResilientExecutor::<std::io::Error>::builder()
    ///     .attempt_timeout(Duration::from_millis(10))
    ///     .build()?;
    ///
    /// let (gate, hangs) = std::sync::mpsc::channel::<()>();
    /// let hangs = std::sync::Mutex::new(hangs);
    /// let end = executor.run_on_threads("api", move || {
    ///     let _ = hangs.lock().unwrap().recv();
    ///     Ok(())
    /// });
    /// assert!(matches!(end, Err(RunError::TimeoutExceeded(_))));
    /// assert_eq!(1, executor.stats().left_behind);
    /// # drop(gate);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub fn run_on_threads<T, F>(&self, key: &str, function: F) -> Result<T, RunError<E>>
    where
        T: Send + 'static,
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
    {
        let parts = &*self.parts;
        let own = parts.plan_of(key);
        let mut call = Call::new(own.as_ref().unwrap_or(&parts.plan));
        parts.begin_story(&mut call, key);
        let run = call.story();
        let (function, sleeper) = (Arc::new(function), parts.clock.off_runtime());
        let mut shared = Arc::new(CompositePermit::default());
        let attempt = |attempt: super::Attempt<'_, E>, held: &mut CompositePermit| {
            if parts.plan.charge == Charge::Attempt || attempt.number() == 1 {
                shared = Arc::new(std::mem::take(held));
            }
            let begin = |permit| {
                let (function, held) = (Arc::clone(&function), (Arc::clone(&shared), permit));
                OnThread::begin(&parts.plan.ledger, held, move || function())
            };
            let ends = attempt.ends();
            let tries = parts.race((key, attempt.number(), run), ends, &sleeper, begin);
            let answer = block_on(race::until(ends, &sleeper, tries));
            if parts.plan.charge == Charge::Attempt {
                shared = Arc::default();
            }
            answer
        };
        let held = CompositePermit::default();
        self.go_on_blocking(key, attempt, call, Entry::NotAsked, held, Last::Nothing)
    }
}

/// What a thread has come to.
enum State<R> {
    UnderWay(Option<Waker>),
    Ended(Unwound<R>),
    /// Nobody waits for it any more.
    Left,
}

/// A call on a thread of its own. Dropped before it has ended, it is left behind.
struct OnThread<R> {
    state: Arc<Mutex<State<R>>>,
    ledger: Ledger,
}

impl<T: Send + 'static, E: Send + 'static> OnThread<Result<T, E>> {
    /// Begins a call, which holds something until it ends.
    fn begin<H, F>(ledger: &Ledger, held: H, call: F) -> Self
    where
        H: Send + 'static,
        F: Fn() -> Result<T, E> + Send + Sync + 'static,
    {
        let state = Arc::new(Mutex::new(State::UnderWay(None)));
        let job = Arc::new(Mutex::new(Some((call, held))));
        let (its_state, its_ledger) = (Arc::clone(&state), ledger.clone());
        let work = move || {
            let taken = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((call, held)) = taken else { return };
            let answer = catch_unwind(AssertUnwindSafe(&call));
            drop((call, held));
            end(&its_state, &its_ledger, answer);
        };
        let here = work.clone();
        if std::thread::Builder::new().name("limitpal try".into()).spawn(work).is_err() {
            here();
        }
        Self { state, ledger: ledger.clone() }
    }
}

/// Hears that a call has ended, and tells whoever waits.
fn end<T, E>(state: &Mutex<State<Result<T, E>>>, ledger: &Ledger, answer: Unwound<Result<T, E>>) {
    let failed = !matches!(answer, Ok(Ok(_)));
    let mut own = state.lock().unwrap_or_else(PoisonError::into_inner);
    // Dropped, as the waker is called, under no lock.
    let (before, late) = match &*own {
        State::UnderWay(_) => (std::mem::replace(&mut *own, State::Ended(answer)), None),
        State::Ended(_) | State::Left => (State::Left, Some(answer)),
    };
    drop(own);
    if late.is_some() {
        ledger.came_late(failed);
    }
    if let State::UnderWay(Some(waker)) = before {
        waker.wake();
    }
}

impl<R> Future for OnThread<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &mut *own {
            State::UnderWay(waker) => {
                let before = waker.replace(context.waker().clone());
                drop(own);
                drop(before);
                return Poll::Pending;
            }
            State::Ended(_) | State::Left => std::mem::replace(&mut *own, State::Left),
        };
        drop(own);
        match before {
            State::Ended(Ok(answer)) => Poll::Ready(answer),
            State::Ended(Err(panic)) => resume_unwind(panic),
            State::UnderWay(_) | State::Left => panic!("a try is not polled once it has ended"),
        }
    }
}

impl<R> Drop for OnThread<R> {
    fn drop(&mut self) {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *own, State::Left);
        drop(own);
        if let State::UnderWay(_) = before {
            self.ledger.left_behind(1);
        }
    }
}

/// Blocks the thread until a future is ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, waker) = (pin!(future), unparker());
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
