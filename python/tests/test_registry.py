"""`Registry`: executors by name."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from limitpal import (
    AsyncResilientExecutor,
    InvalidConfigError,
    LimitPalError,
    MockClock,
    Registry,
    ResilientExecutor,
    RetryPolicy,
    UnknownName,
)


def test_an_executor_is_found_by_its_name():
    """The one that was added, which `add` returns too."""
    registry = Registry()
    users = ResilientExecutor()

    assert registry.add("users", users) is users
    assert registry["users"] is users
    assert "users" in registry
    assert "pages" not in registry
    assert registry.get("pages") is None


def test_it_is_a_mapping_in_the_order_of_adding():
    """Iteration, length, items; an empty one is true."""
    registry = Registry()
    assert registry
    assert len(registry) == 0
    made = {name: registry.add(name, ResilientExecutor()) for name in ("b", "a")}

    assert list(registry) == ["b", "a"]
    assert dict(registry) == made
    assert len(registry) == 2
    assert repr(registry) == "Registry(b, a)"
    assert registry == registry
    assert registry != Registry()
    assert len({registry, registry}) == 1


def test_a_name_that_is_taken_is_refused_and_the_first_stays():
    """Also where the same executor comes again: two who add think they own it."""
    registry = Registry()
    first = registry.add("users", ResilientExecutor())

    for other in (ResilientExecutor(), first):
        with pytest.raises(InvalidConfigError, match="name is 'users'; an executor has this name"):
            registry.add("users", other)
    assert registry["users"] is first


def test_a_name_that_is_unknown_says_which_was_meant():
    """It is a KeyError, as of any mapping, and one of ours."""
    registry = Registry()
    with pytest.raises(UnknownName, match=r"^name is 'users'; there is no such executor$"):
        registry["users"]
    registry.add("users", ResilientExecutor())
    registry.add("pages", ResilientExecutor())

    with pytest.raises(KeyError) as unknown:
        registry["user"]
    assert str(unknown.value) == (
        "name is 'user'; there is no such executor, perhaps 'users' is meant"
    )
    assert isinstance(unknown.value, LimitPalError)
    assert (unknown.value.name, unknown.value.nearest) == ("user", "users")
    with pytest.raises(UnknownName, match="no such executor, but users, pages"):
        registry["zzzzzz"]
    with pytest.raises(UnknownName):
        registry.remove("user")


def test_get_or_create_makes_one_once():
    """By a function, or of a dict; who comes later gets it."""
    registry = Registry()
    made = registry.get_or_create("users", lambda: ResilientExecutor(acquire_timeout=1.0))

    assert registry.get_or_create("users", pytest.fail) is made
    assert registry.get_or_create("users", {"no such": "option"}) is made
    pages = registry.get_or_create("pages", {"limiter": "5/s"}, clock=MockClock())
    assert "TokenBucket(capacity=5" in repr(pages)
    assert "MockClock" in repr(pages)


def test_what_get_or_create_cannot_make_leaves_nothing():
    """The mistake comes out, and the name is free."""
    registry = Registry()

    with pytest.raises(ZeroDivisionError):
        registry.get_or_create("users", lambda: 1 / 0)
    with pytest.raises(InvalidConfigError, match=r"^registry\.users\.limitr is 5; .*'limiter'"):
        registry.get_or_create("users", {"limitr": 5})
    with pytest.raises(InvalidConfigError, match="executor is 5; give a ResilientExecutor"):
        registry.get_or_create("users", lambda: 5)
    with pytest.raises(InvalidConfigError, match=r"^registry\.users is 5; give a dict"):
        registry.get_or_create("users", 5)
    assert "users" not in registry


def test_a_factory_may_use_the_registry():
    """No lock is held while it runs."""
    registry = Registry()

    def make():
        registry.get_or_create("inner", ResilientExecutor)
        return ResilientExecutor()

    registry.get_or_create("outer", make)

    assert sorted(registry) == ["inner", "outer"]


def test_one_that_is_made_too_late_is_not_kept():
    """Another was added while the factory ran: all go by that one."""
    registry = Registry()
    first = ResilientExecutor()

    def make():
        registry.add("users", first)
        return ResilientExecutor()

    assert registry.get_or_create("users", make) is first
    assert registry["users"] is first


def test_threads_that_ask_at_once_get_the_same_executor():
    """Whichever was done first, for all of them."""
    registry = Registry()
    start = threading.Barrier(8)

    def ask(_):
        start.wait()
        return [registry.get_or_create(f"host {n}", ResilientExecutor) for n in range(200)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    for same in zip(*answers, strict=True):
        assert len(set(map(id, same))) == 1
    assert len(registry) == 200


def test_one_of_two_threads_that_add_at_once_is_refused():
    """Nobody's executor is replaced unseen."""
    registry = Registry()
    start = threading.Barrier(4)

    def add(_):
        start.wait()
        added = 0
        for n in range(200):
            try:
                registry.add(f"host {n}", ResilientExecutor())
            except InvalidConfigError:
                continue
            added += 1
        return added

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(4))) == 200


def test_names_may_be_added_and_removed_while_one_iterates():
    """An iteration goes over the names that were there when it began."""
    registry = Registry()
    registry.add("a", ResilientExecutor())

    for name in registry:
        registry.add(name + "b", ResilientExecutor())
    removed = registry.remove("a")

    assert list(registry) == ["ab"]
    assert removed.run("k", lambda: 7) == 7
    assert registry.add("a", removed) is removed


def test_one_kind_of_executors_is_in_a_registry():
    """Of the other kind its calls would have to be awaited."""
    registry = Registry(AsyncResilientExecutor)

    assert type(registry.get_or_create("users", {})) is AsyncResilientExecutor
    with pytest.raises(InvalidConfigError, match="give an AsyncResilientExecutor"):
        registry.add("pages", ResilientExecutor())
    for kind in (5, dict, ResilientExecutor()):
        with pytest.raises(InvalidConfigError, match="kind is"):
            Registry(kind)

    class Pipeline(ResilientExecutor):
        pass

    assert type(Registry(Pipeline).get_or_create("users", {})) is Pipeline
    Registry().add("users", Pipeline())


@pytest.mark.parametrize("name", ["", 5, None, b"users"], ids=repr)
def test_a_name_is_text(name):
    """Not empty, and nothing else that hashes."""
    with pytest.raises(InvalidConfigError, match="give a text that is not empty"):
        Registry().add(name, ResilientExecutor())
    with pytest.raises(InvalidConfigError, match="give a text that is not empty"):
        Registry().get_or_create(name, ResilientExecutor)


def test_stats_of_all_by_name():
    """What `executor.stats()` says of each."""
    registry = Registry()
    for name in ("users", "pages"):
        registry.add(name, ResilientExecutor(retry_policy=RetryPolicy()))
    registry["users"].run("k", lambda: 7)

    stats = registry.stats()

    assert {name: one.calls for name, one in stats.items()} == {"users": 1, "pages": 0}


def test_a_registry_is_made_of_a_dict_of_dicts():
    """As a file would have it; what is wrong says where."""
    registry = Registry.from_dict(
        {"users": {"limiter": "5/s"}, "pages": {}}, AsyncResilientExecutor, clock=MockClock()
    )

    assert list(registry) == ["users", "pages"]
    assert type(registry["pages"]) is AsyncResilientExecutor
    with pytest.raises(InvalidConfigError, match=r"^registry\.users\.limiter is 'x'"):
        Registry.from_dict({"users": {"limiter": "x"}})
    with pytest.raises(InvalidConfigError, match=r"^registry is 5; give a dict"):
        Registry.from_dict(5)


def test_a_registry_is_not_copied():
    """Two of one state would be a surprise."""
    with pytest.raises(TypeError, match="a Registry has live state"):
        copy.copy(Registry())
