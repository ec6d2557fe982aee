//! The other side: up, down for a while, and up again; it remembers each call.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock};

/// How a call of the function ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Value,
    Failed,
    /// Dropped by the executor: its time was over, or another try gave the value.
    Cut,
    /// Dropped with its run by the caller.
    Left,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Called {
    /// Which arrival's function it was.
    pub(super) by: usize,
    pub(super) began: Instant,
    pub(super) ended: Option<(Instant, End)>,
}

pub(super) struct Service {
    pub(super) clock: MockClock,
    pub(super) down: Range<Instant>,
    /// Whether a call in the outage hangs until its end, or fails as fast as it succeeds else.
    pub(super) hangs: bool,
    pub(super) log: RefCell<Vec<Called>>,
    /// Whether the caller is dropping a run just now.
    pub(super) is_left: Cell<bool>,
}

/// A call that is under way: dropped, it is cut.
struct UnderWay(Rc<Service>, usize);

impl UnderWay {
    fn end(&self, end: End) {
        let ended = &mut self.0.log.borrow_mut()[self.1].ended;
        ended.get_or_insert((self.0.clock.now(), end));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end(if self.0.is_left.get() { End::Left } else { End::Cut });
    }
}

impl Service {
    fn begin(self: &Rc<Self>, by: usize, usually: Duration) -> (UnderWay, Duration, bool) {
        let began = self.clock.now();
        let is_down = self.down.contains(&began);
        let lasts = match is_down && self.hangs {
            true => self.down.end.saturating_duration_since(began),
            false => usually,
        };
        self.log.borrow_mut().push(Called { by, began, ended: None });
        (UnderWay(Rc::clone(self), self.log.borrow().len() - 1), lasts, is_down)
    }

    /// The value is the time at which it was given.
    fn answer(&self, call: &UnderWay, is_down: bool) -> Result<i64, &'static str> {
        call.end(if is_down { End::Failed } else { End::Value });
        if is_down { Err("down") } else { Ok(self.clock.now().as_nanos()) }
    }

    pub(super) fn call(
        self: &Rc<Self>,
        by: usize,
        usually: Duration,
    ) -> impl Future<Output = Result<i64, &'static str>> + use<> {
        let service = Rc::clone(self);
        async move {
            let (call, lasts, is_down) = service.begin(by, usually);
            service.clock.sleep(lasts).await;
            service.answer(&call, is_down)
        }
    }

    pub(super) fn call_blocking(
        self: &Rc<Self>,
        by: usize,
        usually: Duration,
    ) -> Result<i64, &'static str> {
        let (call, lasts, is_down) = self.begin(by, usually);
        self.clock.sleep_blocking(lasts);
        self.answer(&call, is_down)
    }
}
