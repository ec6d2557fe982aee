"""Rates as values, and limits in words."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limitpal
from driving import Flavour, call
from limitpal import InvalidConfigError, MockClock, Rate

RATE_OF = {"token": "refill_rate", "leaky": "leak_rate"}
SIZE_OF = {"token": "burst", "leaky": "capacity"}
each_kind = pytest.mark.parametrize("kind", ["token", "leaky"])

UNITS = {
    "ms millisecond milliseconds": Fraction(1, 1000),
    "s sec secs second seconds": 1,
    "min mins minute minutes": 60,
    "h hr hrs hour hours": 3600,
    "d day days": 86400,
    "week weeks": 604800,
}
SPELLED = [(name, length) for names, length in UNITS.items() for name in names.split()]
BLANKS = st.sampled_from(["", " ", "  ", "\t", "\n "])


def bucket(flavour: Flavour, kind: str) -> type:
    """Return the class of a bucket."""
    return flavour.TokenBucket if kind == "token" else flavour.LeakyBucket


@given(
    count=st.integers(1, 5000),
    times=st.one_of(st.none(), st.integers(1, 50)),
    unit=st.sampled_from(SPELLED),
    word=st.sampled_from(["/", "per", "PER"]),
    loud=st.booleans(),
    gaps=st.lists(BLANKS, min_size=5, max_size=5),
)
def test_however_a_limit_is_written_it_is_the_same_rate(count, times, unit, word, loud, gaps):
    """Spelling, blanks and case change nothing: it is `count` in so many seconds."""
    name, length = unit
    parts = [str(count), word, str(times or ""), name.upper() if loud else name, ""]
    text = "".join(gap + part for gap, part in zip(gaps, parts, strict=True))
    per = length * (times or 1)
    in_range = Fraction(1, 10**9) <= count / Fraction(per) <= 10**6

    if not in_range:
        with pytest.raises(InvalidConfigError):
            Rate.parse(text)
        return
    rate = Rate.parse(text)

    assert (rate.count, rate.per) == (count, float(per))
    assert rate == Rate(count, per=float(per))
    assert rate.per_second == float(rate) == float(count / Fraction(per))


@given(text=st.text())
def test_whatever_the_text_a_refusal_is_one_line_that_shows_it(text):
    """No text is more than a limit or an InvalidConfigError."""
    try:
        assert isinstance(Rate.parse(text), Rate)
    except InvalidConfigError as refusal:
        assert refusal.parameter == "rate"
        assert refusal.value == text
        assert str(refusal).startswith("rate is ")
        assert "\n" not in str(refusal)


MESSAGES = {
    "100/fortnight": "rate is '100/fortnight'; \"fortnight\" at character 5 is no unit (ms, "
    'second, minute, hour, day, week); write it as "100/minute" or "5 per 2 hours"',
    "100/m": 'rate is \'100/m\'; "m" at character 5 is a minute or a month; write "min", or a '
    'month in days, as "3000 per 30 days"',
    "": "rate is ''; the end at character 1 is no whole number; write it as \"100/minute\" or "
    '"5 per 2 hours"',
    "0/s": "rate is '0/s'; give a number from 1e-9 to 1e6 per second",
}


@pytest.mark.parametrize("text", MESSAGES, ids=repr)
def test_a_refusal_has_the_text_the_place_what_stands_there_and_an_example(flavour, text):
    """The same words wherever a limit in words is given."""
    ways = [
        Rate.parse,
        flavour.TokenBucket.per,
        flavour.LeakyBucket.per,
        lambda text: flavour.CompositeLimiter.of("1/s", text),
    ]
    for way in ways:
        with pytest.raises(InvalidConfigError) as refusal:
            way(text)

        assert str(refusal.value) == MESSAGES[text]
        assert (refusal.value.parameter, refusal.value.value) == ("rate", text)


NO_TEXT = [None, 100, 1.5, b"100/minute", ["100/minute"], Rate(5), "\ud800/s"]


@pytest.mark.parametrize("words", NO_TEXT, ids=ascii)
def test_what_is_no_text_is_no_limit_in_words(flavour, words):
    """A number, bytes, a list and a lone surrogate are refused by name, with an example."""
    for way in (Rate.parse, flavour.TokenBucket.per, flavour.CompositeLimiter.of):
        with pytest.raises(InvalidConfigError, match="100/minute") as refusal:
            way(words)

        assert refusal.value.parameter == "rate"
        assert refusal.value.value is words


@pytest.mark.parametrize("count", [0, -1, 1.5, 2**32, math.nan, "100", None, True])
def test_a_count_that_is_none_is_refused_by_name(count):
    """`count` is a whole number."""
    with pytest.raises(InvalidConfigError, match=r"^count is .*; give a whole number") as refusal:
        Rate(count)

    assert refusal.value.parameter == "count"


@pytest.mark.parametrize("per", [0, -1, 1e-10, math.nan, math.inf, "60", None, True])
def test_a_time_that_is_none_is_refused_by_name(per):
    """`per` is a time above 0."""
    with pytest.raises(InvalidConfigError, match=r"^per is .*; give a finite time") as refusal:
        Rate(1, per=per)

    assert refusal.value.parameter == "per"


@pytest.mark.parametrize(("count", "per"), [(1_000_001, 1), (1, 2e9), (2, 1e-6), (1, 1e18)])
def test_a_rate_out_of_range_is_refused(count, per):
    """From 1e-9 to 1e6 per second, as a float is."""
    with pytest.raises(InvalidConfigError, match="from 1e-9 to 1e6"):
        Rate(count, per=per)


def test_the_edges_of_the_range_are_rates():
    """A million a second, and one in thirty years."""
    assert float(Rate(1_000_000)) == 1e6
    assert float(Rate(1, per=1e9)) == 1e-9
    assert Rate(2.0, per=Decimal("0.5")) == Rate(4)


def test_a_rate_is_a_value():
    """It compares and hashes by what it admits, prints as it was given, and cannot be changed."""
    rate = Rate.parse("100/minute")

    assert rate == Rate(5, per=3)
    assert hash(rate) == hash(Rate(5, per=3))
    assert rate != Rate(101, per=60)
    assert rate != rate.per_second
    assert rate != "100/minute"
    assert repr(rate) == str(rate) == "Rate(100, per=60.0)"
    assert eval(repr(rate), {"Rate": Rate}) == rate
    assert len({rate, Rate(5, per=3), Rate(1)}) == 2
    with pytest.raises(AttributeError):
        rate.count = 5


RATES = [Rate(1), Rate.parse("20 per 500 ms"), Rate(7, per=1 / 3), Rate(9, per=8_000_000.1234567)]


@pytest.mark.parametrize("rate", RATES, ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_rate_pickles_and_copies_to_the_nanosecond(rate, protocol):
    """What comes back is equal, and prints alike."""
    for again in (pickle.loads(pickle.dumps(rate, protocol)), copy.copy(rate), copy.deepcopy(rate)):
        assert type(again) is Rate
        assert (again, again.count, again.per) == (rate, rate.count, rate.per)


def test_what_never_was_a_rate_is_not_unpickled_as_one():
    """A pickle that was meddled with is a ValueError."""
    for parts in ((0, 1, 0), (1, 0, 0), (1, 2**64 - 1, 2**32 - 1)):
        with pytest.raises(ValueError, match="pickled"):
            Rate._restore(*parts)


@each_kind
def test_a_rate_is_given_wherever_a_float_is(flavour, kind):
    """The bucket counts by the exact fraction; its property is the float."""
    given = {RATE_OF[kind]: Rate.parse("100/minute"), "capacity": 3, "clock": MockClock()}

    limiter = bucket(flavour, kind)(**given)

    assert getattr(limiter, RATE_OF[kind]) == 100 / 60


async def test_a_bucket_counts_by_the_exact_fraction(flavour):
    """Three in 0.7 s are three after 0.7 s, and not a nanosecond before."""
    clock = MockClock()
    limiter = flavour.TokenBucket(3, Rate(3, per=0.7), clock=clock)
    assert await call(limiter.allow, "k", cost=3)

    decision = await call(limiter.check, "k", cost=3)

    assert decision.retry_after == 0.7


@each_kind
def test_a_text_where_a_rate_is_wanted_is_refused_by_the_way_to_read_it(flavour, kind):
    """`refill_rate="100/minute"` names `Rate.parse`."""
    name = RATE_OF[kind]

    with pytest.raises(InvalidConfigError) as refusal:
        bucket(flavour, kind)(10, "100/minute")

    assert refusal.value.parameter == name
    assert str(refusal.value) == (
        f"{name} is '100/minute'; give a number from 1e-9 to 1e6 per second, or a Rate, such as "
        'Rate.parse("100/minute")'
    )


@each_kind
def test_a_bucket_in_words_holds_as_many_as_they_count_unless_told(flavour, kind):
    """`per("100/minute")` holds 100; `burst=`, or `capacity=` of the leaky one, is another."""
    make = bucket(flavour, kind).per

    assert make("100/minute").capacity == 100
    assert make("100/minute", **{SIZE_OF[kind]: 10}).capacity == 10
    assert make("100/minute", 10.0).capacity == 10
    assert getattr(make("100/minute"), RATE_OF[kind]) == 100 / 60


@each_kind
@pytest.mark.parametrize("size", [0, -1, 1.5, "10", 2**32])
def test_a_size_that_makes_no_sense_is_refused_by_the_name_it_was_given(flavour, kind, size):
    """`burst` and not `capacity`, where `burst` was written."""
    with pytest.raises(InvalidConfigError) as refusal:
        bucket(flavour, kind).per("100/minute", **{SIZE_OF[kind]: size})

    assert refusal.value.parameter == SIZE_OF[kind]
    assert refusal.value.value is size


@each_kind
async def test_options_follow_the_words(flavour, kind):
    """Those of the constructor, by name; one that it does not know is a TypeError."""
    clock, make = MockClock(), bucket(flavour, kind).per
    limiter = make("1/s", clock=clock, per_key=False, ttl=60, max_buckets=5, cleanup_interval=7)

    assert [await call(limiter.allow, key) for key in ("ann", "bob")] == [True, False]
    clock.advance(1)
    assert await call(limiter.allow, "bob")
    assert len(make("1/s", key_by=str.upper)) == 0
    with pytest.raises(TypeError, match="speed"):
        make("1/s", speed=5)


@each_kind
def test_a_subclass_makes_its_own(flavour, kind):
    """`per` and `of` are class methods."""
    base = bucket(flavour, kind)
    own = type("Own", (base,), {})
    both = type("Both", (flavour.CompositeLimiter,), {})

    assert type(own.per("1/s")) is own
    assert type(both.of("1/s")) is both


async def test_several_limits_in_words_are_one_that_lets_through_what_all_of_them_let(flavour):
    """For each a token bucket whose burst is the count, all on the clock that was given."""
    clock = MockClock()
    limiter = flavour.CompositeLimiter.of("2/second", "3/minute", clock=clock)

    first = [await call(limiter.allow, "ann") for _ in range(3)]
    clock.advance(1)
    second = [await call(limiter.allow, "ann") for _ in range(2)]

    assert (first, second) == ([True, True, False], [True, False])
    assert [type(part) for part in limiter.limiters] == [flavour.TokenBucket] * 2
    assert [part.capacity for part in limiter.limiters] == [2, 3]
    await call(limiter.acquire, "ann")
    assert clock.now() == 20.0


def test_no_limit_at_all_is_refused(flavour):
    """`of()` says what to give."""
    with pytest.raises(InvalidConfigError) as refusal:
        flavour.CompositeLimiter.of(clock=MockClock())

    message = 'rates is (); give at least one limit, such as "10/second"'
    assert (str(refusal.value), refusal.value.parameter) == (message, "rates")


def test_rate_is_found_at_the_top():
    """And is the extension's own class, which says that it lives at the top."""
    assert limitpal.Rate.__module__ == "limitpal"
