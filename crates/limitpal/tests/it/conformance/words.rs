//! What a limit in words means, and where one that is none ceases to be one.

use limitpal::{InvalidConfig, Rate, TokenBucket};
use serde::Deserialize;

use super::cases::{Case, Seconds, Seen, Step};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordsCase {
    name: String,
    why: String,
    limits: Vec<Step>,
}

impl Case for WordsCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

pub(super) fn run(case: &WordsCase) -> Result<(), String> {
    if case.limits.is_empty() {
        return Err("a case has limits".to_owned());
    }
    let each =
        |step: &Step| read(step.clone()).map_err(|error| format!("{}\n    {error}", step.shown()));
    case.limits.iter().try_for_each(each)
}

fn read(mut step: Step) -> Result<(), String> {
    let text: String = step.take("text")?;
    if let Some(says) = step.optional::<String>("says")? {
        let refused = [Rate::parse(&text).err(), TokenBucket::per(&text).err()];
        let is_right = |error: &Option<InvalidConfig>| {
            error.as_ref().is_some_and(|error| error.advice().contains(&says))
        };
        let shown = || format!("it does not say `{says}`: {refused:?}");
        return if refused.iter().all(is_right) {
            step.compare(&Seen::new())
        } else {
            Err(shown())
        };
    }
    let (rate, per) = (Rate::parse(&text), step.take::<Seconds>("per")?.duration());
    let count: u32 = step.take("count")?;
    let expected = Rate::new(count, per).map_err(|error| error.to_string())?;
    if rate != Ok(expected) {
        return Err(format!("it came out as {rate:?}"));
    }
    // A bucket of so many may take more than a hundred years to fill; then it is not made.
    if let Ok(bucket) = TokenBucket::per(&text).and_then(|bucket| bucket.build()) {
        assert_eq!((count, expected), (bucket.capacity(), bucket.refill_rate()), "{text}");
    }
    step.compare(&Seen::new())
}
