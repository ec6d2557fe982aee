//! A row of people and how far apart they stand: anybody is found, let in, taken out, or moved with
//! all behind, in a number of steps that grows with the logarithm of the row.
//!
//! It is a treap (Aragon and Seidel, "Randomized search trees", 1989): a binary tree in the order
//! of the row, and a heap by a number drawn for each, which keeps it shallow. Each node knows the
//! sum of the distances below it, so that where one stands is a walk up the tree.

#[cfg(test)]
mod tests;

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::{Add, AddAssign, Sub};

/// How far one stands before another: nanoseconds and parts of one, counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Distance {
    pub(crate) whole: i64,
    pub(crate) part: i64,
}

impl Distance {
    const NONE: Self = Self { whole: 0, part: 0 };
}

impl Add for Distance {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { whole: self.whole + other.whole, part: self.part + other.part }
    }
}

impl Sub for Distance {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { whole: self.whole - other.whole, part: self.part - other.part }
    }
}

impl AddAssign for Distance {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Where in the row's memory somebody is kept, which never changes while one is in the row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Spot(NonZeroU32);

impl Spot {
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Those who stand in a row.
#[derive(Debug)]
pub(crate) struct Row<W> {
    nodes: Vec<Node<W>>,
    root: Option<Spot>,
    first: Option<Spot>,
    last: Option<Spot>,
    /// The first of the nodes that nobody is in; each has the next one as its parent.
    vacant: Option<Spot>,
}

#[derive(Debug)]
struct Node<W> {
    who: Option<W>,
    number: u32,
    parent: Option<Spot>,
    left: Option<Spot>,
    right: Option<Spot>,
    /// The distances from each below, and from this one, to the next in the row.
    sum: Distance,
}

impl<W> Row<W> {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), root: None, first: None, last: None, vacant: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Returns what one in the row is called from outside; nobody else with another number is.
    pub(crate) fn name(&self, spot: Spot) -> NonZeroU64 {
        let number = u64::from(self.node(spot).number);
        NonZeroU64::from(spot.0) | number << 32
    }

    /// Returns where the one with this name is kept, if it is still in the row.
    pub(crate) fn find(&self, name: NonZeroU64) -> Option<Spot> {
        let spot = Spot(NonZeroU32::new(name.get() as u32)?);
        let node = self.nodes.get(spot.index())?;
        (node.who.is_some() && u64::from(node.number) == name.get() >> 32).then_some(spot)
    }

    pub(crate) fn get(&self, spot: Spot) -> &W {
        self.node(spot).who.as_ref().expect("a spot is somebody's")
    }

    pub(crate) fn get_mut(&mut self, spot: Spot) -> &mut W {
        self.node_mut(spot).who.as_mut().expect("a spot is somebody's")
    }

    pub(crate) fn first(&self) -> Option<Spot> {
        self.first
    }

    pub(crate) fn last(&self) -> Option<Spot> {
        self.last
    }

    pub(crate) fn next(&self, spot: Spot) -> Option<Spot> {
        self.neighbour(spot, Side::Right)
    }

    pub(crate) fn previous(&self, spot: Spot) -> Option<Spot> {
        self.neighbour(spot, Side::Left)
    }

    /// Returns those from one on.
    pub(crate) fn from(&self, first: Option<Spot>) -> impl Iterator<Item = Spot> {
        std::iter::successors(first, |spot| self.next(*spot))
    }

    /// Returns those from one back to the first.
    pub(crate) fn back_from(&self, last: Option<Spot>) -> impl Iterator<Item = Spot> {
        std::iter::successors(last, |spot| self.previous(*spot))
    }

    /// Returns the first for whom `is_there` holds, told where it stands from the first in the
    /// row; it must hold for all behind as well.
    pub(crate) fn first_where(&self, is_there: impl Fn(&W, Distance) -> bool) -> Option<Spot> {
        let (mut here, mut found, mut ahead) = (self.root, None, Distance::NONE);
        while let Some(spot) = here {
            let stands = ahead + self.sum(self.node(spot).left);
            if is_there(self.get(spot), stands) {
                found = here;
                here = self.node(spot).left;
            } else {
                ahead = stands + self.distance(spot);
                here = self.node(spot).right;
            }
        }
        found
    }

    /// Returns how far one stands behind the first.
    pub(crate) fn ahead(&self, spot: Spot) -> Distance {
        if self.first == Some(spot) {
            return Distance::NONE;
        }
        if self.last == Some(spot) {
            return self.sum(self.root) - self.distance(spot);
        }
        let (mut ahead, mut below) = (self.sum(self.node(spot).left), spot);
        while let Some(parent) = self.node(below).parent {
            if self.node(parent).right == Some(below) {
                ahead += self.node(parent).sum - self.node(below).sum;
            }
            below = parent;
        }
        ahead
    }

    /// Returns how far one would stand behind the first who stands behind all.
    pub(crate) fn end(&self) -> Distance {
        self.sum(self.root)
    }

    /// Returns how far the next one stands behind this one.
    pub(crate) fn distance(&self, spot: Spot) -> Distance {
        let Node { left, right, sum, .. } = self.node(spot);
        *sum - self.sum(*left) - self.sum(*right)
    }

    /// Moves all behind one, so that the next stands so far behind it.
    pub(crate) fn set_distance(&mut self, spot: Spot, distance: Distance) {
        let change = distance - self.distance(spot);
        let mut here = (change != Distance::NONE).then_some(spot);
        while let Some(spot) = here {
            let node = self.node_mut(spot);
            node.sum += change;
            here = node.parent;
        }
    }

    /// Lets one in before another, or at the end. It has no distance to the next, and nobody moves.
    pub(crate) fn insert(&mut self, who: W, number: u32, before: Option<Spot>) -> Spot {
        let spot = self.vacancy(who, number);
        let (parent, side) = match before {
            None => (self.last(), Side::Right),
            Some(next) => match self.node(next).left {
                None => (Some(next), Side::Left),
                Some(left) => (Some(self.outermost(left, Side::Right)), Side::Right),
            },
        };
        if self.first == before {
            self.first = Some(spot);
        }
        if before.is_none() {
            self.last = Some(spot);
        }
        self.node_mut(spot).parent = parent;
        match parent {
            None => self.root = Some(spot),
            Some(parent) => *self.child_mut(parent, side) = Some(spot),
        }
        while self.node(spot).parent.is_some_and(|parent| self.rank(spot) > self.rank(parent)) {
            self.lift(spot);
        }
        spot
    }

    /// Takes one out, with its distance to the next: those behind move up by it.
    pub(crate) fn remove(&mut self, spot: Spot) -> W {
        if self.first == Some(spot) {
            self.first = self.next(spot);
        }
        if self.last == Some(spot) {
            self.last = self.previous(spot);
        }
        self.set_distance(spot, Distance::NONE);
        while let Some(child) = self.higher_child(spot) {
            self.lift(child);
        }
        self.replace_child(self.node(spot).parent, spot, None);
        let vacant = self.vacant.replace(spot);
        let node = self.node_mut(spot);
        node.parent = vacant;
        node.who.take().expect("a spot is somebody's")
    }

    /// Returns a node for somebody, not in the tree yet.
    fn vacancy(&mut self, who: W, number: u32) -> Spot {
        let (parent, left, right, sum) = (None, None, None, Distance::NONE);
        let node = Node { who: Some(who), number, parent, left, right, sum };
        if let Some(spot) = self.vacant {
            self.vacant = self.node(spot).parent;
            *self.node_mut(spot) = node;
            return spot;
        }
        if self.nodes.len() == self.nodes.capacity() {
            // Doubling would leave up to half of the memory unused.
            self.nodes.reserve_exact(self.nodes.len() / 8 + 4);
        }
        self.nodes.push(node);
        let count = u32::try_from(self.nodes.len()).ok().and_then(NonZeroU32::new);
        Spot(count.expect("four billion do not fit into memory"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// The tree.
impl<W> Row<W> {
    fn node(&self, spot: Spot) -> &Node<W> {
        #[cfg(all(test, not(loom)))]
        super::steps::count();
        &self.nodes[spot.index()]
    }

    fn node_mut(&mut self, spot: Spot) -> &mut Node<W> {
        #[cfg(all(test, not(loom)))]
        super::steps::count();
        &mut self.nodes[spot.index()]
    }

    fn sum(&self, below: Option<Spot>) -> Distance {
        below.map_or(Distance::NONE, |spot| self.node(spot).sum)
    }

    fn child(&self, spot: Spot, side: Side) -> Option<Spot> {
        match side {
            Side::Left => self.node(spot).left,
            Side::Right => self.node(spot).right,
        }
    }

    fn child_mut(&mut self, spot: Spot, side: Side) -> &mut Option<Spot> {
        match side {
            Side::Left => &mut self.node_mut(spot).left,
            Side::Right => &mut self.node_mut(spot).right,
        }
    }

    /// Returns the number that decides who is higher in the tree, as good as drawn by lot.
    fn rank(&self, spot: Spot) -> u64 {
        // The last step of SplitMix64 (Steele, Lea and Flood, 2014).
        let number = u64::from(self.node(spot).number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    fn outermost(&self, from: Spot, side: Side) -> Spot {
        std::iter::successors(Some(from), |spot| self.child(*spot, side)).last().unwrap_or(from)
    }

    fn neighbour(&self, spot: Spot, side: Side) -> Option<Spot> {
        if let Some(child) = self.child(spot, side) {
            return Some(self.outermost(child, side.other()));
        }
        let mut below = spot;
        while let Some(parent) = self.node(below).parent {
            if self.child(parent, side.other()) == Some(below) {
                return Some(parent);
            }
            below = parent;
        }
        None
    }

    fn higher_child(&self, spot: Spot) -> Option<Spot> {
        let Node { left, right, .. } = *self.node(spot);
        match (left, right) {
            (Some(left), Some(right)) if self.rank(right) > self.rank(left) => Some(right),
            (left, right) => left.or(right),
        }
    }

    /// Puts one in the place of its parent, which becomes its child.
    fn lift(&mut self, spot: Spot) {
        let Some(parent) = self.node(spot).parent else { return };
        let side = if self.node(parent).left == Some(spot) { Side::Left } else { Side::Right };
        let (all, own) = (self.node(parent).sum, self.node(spot).sum);
        let inner = self.child(spot, side.other());

        self.replace_child(self.node(parent).parent, parent, Some(spot));
        *self.child_mut(spot, side.other()) = Some(parent);
        self.node_mut(parent).parent = Some(spot);
        *self.child_mut(parent, side) = inner;
        if let Some(inner) = inner {
            self.node_mut(inner).parent = Some(parent);
        }
        self.node_mut(parent).sum = all - own + self.sum(inner);
        self.node_mut(spot).sum = all;
    }

    fn replace_child(&mut self, parent: Option<Spot>, old: Spot, new: Option<Spot>) {
        match parent {
            None => self.root = new,
            Some(parent) if self.node(parent).left == Some(old) => self.node_mut(parent).left = new,
            Some(parent) => self.node_mut(parent).right = new,
        }
        if let Some(new) = new {
            self.node_mut(new).parent = parent;
        }
    }
}
