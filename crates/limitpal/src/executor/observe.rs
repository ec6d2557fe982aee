//! Who wants to hear what becomes of an executor's runs.

use std::any::type_name;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Parts, ResilientExecutor};
use crate::call::{Call, Plan, Reading};
use crate::clock::SharedClock;
use crate::teller::{Event, Subscription};

impl<E: fmt::Display> ResilientExecutor<E> {
    /// Calls `observer` with each [`Event`] of its runs from now on, those of its clones too:
    ///
    /// - [`Event::RunBegan`], and at last [`Event::RunEnded`], once for each run, however that ends:
    ///   when all that it held has gone back.
    /// - [`Event::AttemptBegan`] before the function is called, [`Event::AttemptFailed`] with what the
    ///   error says and how it was judged, [`Event::RetryPlanned`] before a wait.
    /// - [`Event::HedgeStarted`] as a slow attempt gets another try.
    ///
    /// It is called as that of a limiter ([`AnyLimiter::observe`](crate::AnyLimiter::observe)): in the
    /// thread or task whose run it tells of, under no lock, and its panic ends in it. The executor's
    /// parts are observed by themselves; what a fallback or a cache answers is no matter of a run's.
    /// A run that began before is not told of. Where nobody listens, a run reads one flag.
    ///
    /// ```
    /// use limitpal::{Event, MockClock, ResilientExecutor, RetryPolicy, RunEnd};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let builder = ResilientExecutor::builder().retry_policy(RetryPolicy::default());
    /// let executor = builder.clock(MockClock::new()).build()?;
    /// let heard = Arc::new(Mutex::new(Vec::new()));
    /// let events = heard.clone();
    /// let subscription = executor.observe(move |event| events.lock().unwrap().push(event.clone()));
    ///
    /// let mut answers = [Err("slow"), Ok(7)].into_iter();
    /// assert_eq!(Ok(7), executor.run_blocking("api", || answers.next().unwrap()));
    /// subscription.close();
    ///
    /// let heard = heard.lock().unwrap();
    /// assert_eq!(6, heard.len());
    /// assert!(matches!(&heard[2], Event::AttemptFailed { attempt: 1, words, .. } if **words == *"slow"));
    /// assert!(matches!(heard[3], Event::RetryPlanned { attempt: 2, .. }));
    /// assert!(matches!(heard[5], Event::RunEnded { end: RunEnd::Success, attempts: 2, .. }));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        let _same_for_all = self.parts.words.set(E::to_string);
        let teller = self.parts.plan.ledger.teller();
        teller.observe(1.0, Arc::new(observer), 0).expect("all of it is a share")
    }
}

impl<E> Parts<E> {
    /// Returns whether somebody may listen.
    #[inline]
    pub(super) fn is_heard(&self) -> bool {
        self.plan.ledger.teller().is_heard()
    }

    /// Has those hear of a run who listen.
    #[inline]
    pub(super) fn begin_story(&self, call: &mut Call<&Plan>, key: &str) {
        call.observe(key, || reading_of(&self.clock));
    }

    /// Says what an error is that ended an attempt.
    #[cold]
    pub(super) fn describe(&self, call: &mut Call<&Plan>, error: &E) {
        let describe = || match &self.sight {
            Some(sight) => (sight.describe)(error),
            None => self.words.get().map(|words| (type_name::<E>(), words(error))),
        };
        // A panic of it is no matter of the run's.
        let said = catch_unwind(AssertUnwindSafe(describe)).ok().flatten();
        let (error, words) = said.unwrap_or((type_name::<E>(), String::new()));
        call.describe(error, &words);
    }
}

#[cold]
fn reading_of(clock: &SharedClock) -> Reading {
    let clock = clock.clone();
    Box::new(move || Some(clock.now()))
}
