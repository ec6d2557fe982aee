//! A gate as it should be: two plain lists.

/// How it stands with one who came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Inside,
    Waits,
    /// Not while there are so many, or not within its time.
    Refused,
    /// It is more than the limit.
    Never,
    /// It has left, or given its permit back.
    Gone,
}

/// Everybody who came, first come first.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    limit: u32,
    max_waiting: Option<u32>,
    comers: Vec<(u32, Fate)>,
}

impl Model {
    pub(crate) fn new(limit: u32, max_waiting: Option<u32>) -> Self {
        Self { limit, max_waiting, comers: Vec::new() }
    }

    pub(crate) fn inside(&self) -> u32 {
        self.sum(Fate::Inside)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.comers.iter().filter(|(_, fate)| *fate == Fate::Waits).count()
    }

    pub(crate) fn fate(&self, who: usize) -> Fate {
        self.comers[who].1
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    fn sum(&self, fate: Fate) -> u32 {
        self.comers.iter().filter(|(_, own)| *own == fate).map(|(cost, _)| cost).sum()
    }

    /// Returns whether one would be let in who does not wait.
    pub(crate) fn admits(&self, cost: u32) -> bool {
        self.waiting() == 0 && self.inside() + cost <= self.limit
    }

    /// Lets the next one come.
    pub(crate) fn arrive(&mut self, cost: u32) -> Fate {
        let is_full = self.max_waiting.is_some_and(|most| self.waiting() >= most as usize);
        let fate = match () {
            () if cost > self.limit => Fate::Never,
            () if self.admits(cost) => Fate::Inside,
            () if is_full => Fate::Refused,
            () => Fate::Waits,
        };
        self.comers.push((cost, fate));
        fate
    }

    /// Ends somebody's wait, or its work; returns who is let in by that.
    pub(crate) fn end(&mut self, who: usize, fate: Fate) -> Vec<usize> {
        self.comers[who].1 = fate;
        self.let_in()
    }

    /// Changes the limit; returns to whom something happens by that.
    pub(crate) fn change(&mut self, limit: u32) -> Vec<usize> {
        self.limit = limit;
        let mut changed = Vec::new();
        for (who, (cost, fate)) in self.comers.iter_mut().enumerate() {
            if *fate == Fate::Waits && *cost > limit {
                *fate = Fate::Never;
                changed.push(who);
            }
        }
        changed.extend(self.let_in());
        changed
    }

    fn let_in(&mut self) -> Vec<usize> {
        let mut let_in = Vec::new();
        while let Some(who) = self.comers.iter().position(|(_, fate)| *fate == Fate::Waits)
            && self.inside() + self.comers[who].0 <= self.limit
        {
            self.comers[who].1 = Fate::Inside;
            let_in.push(who);
        }
        let_in
    }
}
