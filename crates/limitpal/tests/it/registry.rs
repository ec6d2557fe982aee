//! `Registry`: executors by name.

use std::sync::Barrier;
use std::thread;

use limitpal::{InvalidConfig, MockClock, Registry, ResilientExecutor, RetryPolicy};

type Executor = ResilientExecutor<&'static str>;

fn executor() -> Executor {
    ResilientExecutor::builder().clock(MockClock::new()).build().unwrap()
}

/// Whether two handles are of one executor: its runs are counted once.
fn same(one: &Executor, other: &Executor) -> bool {
    one.run_blocking("k", || Ok(())).unwrap();
    one.stats().calls == other.stats().calls
}

#[test]
fn an_executor_is_found_by_its_name_through_every_handle() {
    let registry = Registry::new();
    let users = executor();

    registry.clone().add("users", users.clone()).unwrap();

    assert!(same(&users, &registry.get("users").unwrap()));
    assert!(registry.contains("users"));
    assert!(!registry.contains("pages"));
}

#[test]
fn names_and_executors_are_those_of_now_sorted() {
    let registry = Registry::new();
    assert!(registry.is_empty());
    for name in ["b", "a"] {
        registry.add(name, executor()).unwrap();
    }

    assert_eq!(vec!["a", "b"], registry.names());
    assert_eq!(2, registry.len());
    for (name, executor) in registry.executors() {
        registry.add(format!("{name}b"), executor).unwrap();
    }
    assert_eq!(vec!["a", "ab", "b", "bb"], registry.names());
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_first_stays() {
    let registry = Registry::new();
    let first = executor();
    registry.add("users", first.clone()).unwrap();

    let refusal = registry.add("users", executor()).unwrap_err();

    assert_eq!("name", refusal.parameter());
    assert_eq!(
        "name is \"users\"; an executor has this name already; give another, or remove that first",
        refusal.to_string()
    );
    assert!(same(&first, &registry.get("users").unwrap()));
}

#[test]
fn a_name_that_is_unknown_says_which_was_meant() {
    let registry = Registry::<&str>::new();
    let told = |name: &str| registry.get(name).unwrap_err().to_string();
    assert_eq!("name is \"users\"; there is no such executor", told("users"));
    registry.add("users", executor()).unwrap();
    registry.add("pages", executor()).unwrap();

    assert_eq!(
        "name is \"user\"; there is no such executor, perhaps \"users\" is meant",
        told("user")
    );
    assert_eq!("name is \"zzz\"; there is no such executor, but pages, users", told("zzz"));
    assert_eq!(told("user"), registry.remove("user").unwrap_err().to_string());
}

#[test]
fn get_or_create_makes_one_once() {
    let registry = Registry::new();
    let made = registry.get_or_create("users", || Ok(executor())).unwrap();

    let again = registry.get_or_create("users", || panic!("it is there")).unwrap();

    assert!(same(&made, &again));
}

#[test]
fn what_get_or_create_cannot_make_leaves_nothing() {
    let registry = Registry::<&str>::new();

    let failed = registry
        .get_or_create("users", || Err(InvalidConfig::new("k", 0, "give more")))
        .unwrap_err();

    assert_eq!("k is 0; give more", failed.to_string());
    assert!(registry.is_empty());
    assert_eq!("give a text that is not empty", registry.add("", executor()).unwrap_err().advice());
    let unnamed = registry.get_or_create("", || Ok(executor())).unwrap_err();
    assert_eq!("name", unnamed.parameter());
}

#[test]
fn a_maker_may_use_the_registry() {
    let registry = Registry::new();

    registry.get_or_create("outer", || registry.get_or_create("inner", || Ok(executor()))).unwrap();

    assert_eq!(vec!["inner", "outer"], registry.names());
}

#[test]
fn one_that_is_made_too_late_is_not_kept() {
    let (registry, first) = (Registry::new(), executor());

    let found = registry.get_or_create("users", || {
        registry.add("users", first.clone())?;
        Ok(executor())
    });

    assert!(same(&first, &found.unwrap()));
    assert!(same(&first, &registry.get("users").unwrap()));
}

#[test]
fn threads_that_ask_at_once_get_the_same_executor() {
    let (registry, start) = (Registry::new(), Barrier::new(4));
    let ask = || {
        start.wait();
        for n in 0..200 {
            let found = registry.get_or_create(n.to_string(), || Ok(executor())).unwrap();
            found.run_blocking("k", || Ok(())).unwrap();
        }
    };

    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(ask))));

    assert!(registry.stats().values().all(|stats| stats.calls == 4));
    assert_eq!(200, registry.len());
}

#[test]
fn one_that_is_removed_goes_on_and_its_name_is_free() {
    let registry = Registry::new();
    registry.add("users", executor()).unwrap();

    let removed = registry.remove("users").unwrap();
    registry.add("users", executor()).unwrap();

    removed.run_blocking("k", || Ok(())).unwrap();
    assert_eq!(0, registry.stats()["users"].calls);
}

#[test]
fn it_is_shown_with_its_executors() {
    let registry = Registry::new();
    let retries = ResilientExecutor::<&str>::builder().retry_policy(RetryPolicy::default());
    registry.add("users", retries.build().unwrap()).unwrap();

    let shown = format!("{registry:?}");

    assert!(shown.starts_with("{\"users\": ResilientExecutor { retry_policy: "), "{shown}");
}
