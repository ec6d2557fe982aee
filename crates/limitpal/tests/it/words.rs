//! Limits in words: rates, buckets and composites made from them.

use std::time::Duration;

use limitpal::{CompositeLimiter, LeakyBucket, MockClock, Rate, TokenBucket};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Every way to write a unit, and how many milliseconds it has.
const UNITS: [(&[&str], u64); 6] = [
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["week", "weeks"], 604_800_000),
];

/// A unit as it may be written, and how long it is.
fn units() -> impl Strategy<Value = (String, Duration)> {
    let spelled = UNITS.iter().flat_map(|(names, millis)| {
        let each = |name: &&'static str| ((*name).to_owned(), Duration::from_millis(*millis));
        names.iter().map(each).collect::<Vec<_>>()
    });
    let loud = |(name, unit): (String, Duration)| {
        let upper = name.to_uppercase();
        prop_oneof![Just((name, unit)), Just((upper, unit))]
    };
    proptest::sample::select(spelled.collect::<Vec<_>>()).prop_flat_map(loud)
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just(" ".to_owned()), "[ \t\n]{0,4}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_limit_is_written_it_is_the_same_rate(
        count in prop_oneof![1_u32..1000, any::<u32>()],
        times in proptest::option::of(prop_oneof![1_u32..100, any::<u32>()]),
        (unit, long) in units(),
        per in prop_oneof![Just("/"), Just("per"), Just("Per"), Just("PER")],
        gaps in proptest::collection::vec(blanks(), 5),
    ) {
        let number = times.map(|times| times.to_string()).unwrap_or_default();
        let words = [count.to_string(), per.to_owned(), number, unit, String::new()];
        let text: String = gaps.iter().zip(words).map(|(gap, word)| gap.clone() + &word).collect();

        let rate = Rate::parse(&text).ok();

        prop_assert_eq!(Rate::new(count, long * times.unwrap_or(1)).ok(), rate, "{:?}", text);
    }

    #[test]
    fn whatever_the_text_a_refusal_shows_it_and_a_place_within_it(text in any::<String>()) {
        let Err(error) = Rate::parse(&text) else { return Ok(()) };

        prop_assert_eq!("rate", error.parameter());
        let place = error.advice().split(" at character ").nth(1).unwrap_or("1 is out of range");
        let place: usize = place.split(' ').next().unwrap().parse().unwrap();
        prop_assert!((1..=text.chars().count() + 1).contains(&place), "{}", error);
        prop_assert!(!error.to_string().contains('\n'), "{}", error);
    }

    #[test]
    fn what_is_cut_short_or_runs_on_is_refused_where_it_does(
        digits in "[1-9][0-9]{0,5}",
        rest in "[a-z;:,.!]{1,9}",
    ) {
        let cut = Rate::parse(&format!("{digits} per")).unwrap_err().to_string();
        let long = Rate::parse(&format!("{digits} per hour {rest}")).unwrap_err().to_string();

        let place = digits.len() + 5;
        prop_assert!(cut.contains(&format!("the end at character {place} is no unit")), "{}", cut);
        let place = digits.len() + 11;
        prop_assert!(long.contains(&format!("at character {place} is left over")), "{}", long);
    }
}

#[test]
fn a_refusal_has_the_text_the_place_what_stands_there_and_an_example() {
    for (text, message) in [
        (
            "100/fortnight",
            "rate is \"100/fortnight\"; \"fortnight\" at character 5 is no unit (ms, second, \
             minute, hour, day, week); write it as \"100/minute\" or \"5 per 2 hours\"",
        ),
        (
            "100/m",
            "rate is \"100/m\"; \"m\" at character 5 is a minute or a month; write \"min\", or a \
             month in days, as \"3000 per 30 days\"",
        ),
        (
            "100",
            "rate is \"100\"; the end at character 4 is neither \"/\" nor \"per\"; write it as \
             \"100/minute\" or \"5 per 2 hours\"",
        ),
        ("0/s", "rate is \"0/s\"; give a number from 1e-9 to 1e6 per second"),
    ] {
        assert_eq!(message, Rate::parse(text).unwrap_err().to_string());
        assert_eq!(message, text.parse::<Rate>().unwrap_err().to_string());
        assert_eq!(message, TokenBucket::per(text).unwrap_err().to_string());
        assert_eq!(message, LeakyBucket::per(text).unwrap_err().to_string());
        assert_eq!(message, CompositeLimiter::of(["1/s", text]).unwrap_err().to_string());
    }
}

#[test]
fn a_long_text_is_shown_in_part() {
    let error = Rate::parse(&"x".repeat(1_000_000)).unwrap_err();

    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn a_bucket_in_words_holds_as_many_as_they_count_unless_told() {
    let token = TokenBucket::per("100/minute").unwrap().build().unwrap();
    let small = TokenBucket::per("100/minute").unwrap().burst(10).build().unwrap();
    let leaky = LeakyBucket::per("100/minute").unwrap().build().unwrap();
    let short = LeakyBucket::per("100/minute").unwrap().capacity(5).build().unwrap();

    assert_eq!((100, 10), (token.capacity(), small.capacity()));
    assert_eq!((100, 5), (leaky.capacity(), short.capacity()));
    let rate = Rate::per_minute(100).unwrap();
    assert_eq!(
        [rate; 4],
        [token.refill_rate(), small.refill_rate(), leaky.leak_rate(), short.leak_rate()]
    );
    let bounds = [&*token, &*small, &*leaky, &*short].map(|limiter| limiter.bound(MINUTE));
    assert_eq!([200, 110, 200, 105], bounds);
}

#[test]
fn a_burst_that_makes_no_sense_is_refused_by_the_name_it_was_given() {
    let token = TokenBucket::per("100/minute").unwrap().burst(0).build();
    let leaky = LeakyBucket::per("100/minute").unwrap().capacity(0).build();
    let long = TokenBucket::per("1 per 100 weeks").unwrap().burst(1000).build();

    let says = "give a whole number from 1 to 4294967295";
    assert_eq!(format!("burst is 0; {says}"), token.unwrap_err().to_string());
    assert_eq!(format!("capacity is 0; {says}"), leaky.unwrap_err().to_string());
    assert_eq!("refill_rate", long.unwrap_err().parameter());
}

#[test]
fn options_follow_the_words() {
    let clock = MockClock::new();
    let limiter = TokenBucket::per("1/s").unwrap().clock(&clock).per_key(false).build().unwrap();

    assert!(limiter.allow("ann"));
    assert!(!limiter.allow("bob"));
    clock.advance(Duration::from_secs(1));
    assert!(limiter.allow("bob"));
}

#[test]
fn several_limits_in_words_are_one_that_lets_through_what_all_of_them_let() {
    let clock = MockClock::new();
    let limiter = CompositeLimiter::of_with_clock(["2/second", "3/minute"], &clock).unwrap();

    let first = limiter.allow_many(["ann"; 3]);
    clock.advance(Duration::from_secs(1));
    let second = limiter.allow_many(["ann"; 2]);

    assert_eq!(vec![true, true, false], first);
    assert_eq!(vec![true, false], second);
}

#[test]
fn no_limit_at_all_is_refused() {
    let error = CompositeLimiter::of::<&str>([]).unwrap_err();

    let message = "rates is empty; give at least one limit, such as \"10/second\"";
    assert_eq!(message, error.to_string());
}
