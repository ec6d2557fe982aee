"""Many decisions in one call."""

from __future__ import annotations

from rows import Table, Target, loop

MANY = "allow_many"
LIST = "list of allow"
LOOP = "loop of allow"

ANY = "any answer"
SYNC = {MANY: "limitpal.allow_many", LIST: "limitpal.allow_list", LOOP: "limitpal.allow_loop"}
FLOOR = {MANY: "limitpal.allow_many", ANY: "bare.answer_many"}
ASYNC = {MANY: "limitpal.await_allow_many", LIST: "limitpal.await_allow_list"}

THREE = Target(ours=MANY, peer=LIST, at_least=3)

TABLES = (
    Table(
        "Many decisions at once, Python",
        "ns per decision",
        "Lists of 1,000 keys: `allow_many(keys)`, `[allow(key) for key in keys]`, which makes the "
        "same list, and `for key in keys: allow(key)`, which makes none. Any answer is "
        "`list(map(str.isascii, keys))`: what Python takes for a True or False to each text. The "
        "target is for 1,000 keys; with 100,000 memory sets the pace of both.",
        (
            loop("allow_many, 1,000 keys", SYNC, THREE, count=1_000),
            loop("allow_many, 100,000 keys", SYNC, count=100_000),
            loop("allow_many beside any answer, 1,000 keys", FLOOR, count=1_000),
            loop("await allow_many, 1,000 keys", ASYNC, THREE, count=1_000),
        ),
    ),
)
