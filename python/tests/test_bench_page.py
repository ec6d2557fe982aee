"""The benchmarks' page says what the suites measured: every figure, every verdict, every miss."""

import copy

import pytest

from bench.page.text import page

MET = {
    "case": "keyed allow",
    "values": {"limitpal": 35.1, "governor": 53.0},
    "target": {"ours": "limitpal", "peer": "governor", "at_most": 0.75},
    "ratio": 0.662,
    "verdict": "met",
}
MISSED = {
    "case": "sync allow",
    "values": {"limitpal": 60.0, "limitpal 0.1.1": 540.0, "token-bucket": 420.0},
    "target": {"ours": "limitpal", "peer": "limitpal 0.1.1", "at_least": 15},
    "ratio": 9.0,
    "verdict": "missed",
}
AGAIN = MISSED | {
    "target": {"ours": "limitpal", "peer": "token-bucket", "at_least": 5},
    "ratio": 7.0,
    "verdict": "met",
}
ALONE = {
    "case": "memory",
    "unit": "bytes",
    "values": {"limitpal": 81.5},
    "target": {"ours": "limitpal", "at_most": 80},
    "ratio": 81.5,
    "verdict": "missed",
}
UNJUDGED = {"case": "retry", "values": {"limitpal": 90.0, "backoff": 1680.0}, "verdict": ""}


def suite(name, *rows, title="Calls"):
    """Returns a suite of one table."""
    table = {"title": title, "unit": "ns per call", "note": "One sentence. Two.", "rows": rows}
    versions = {"governor": "0.10.4"}
    machine = {"cpu": "a processor", "cores": 2}
    found = {"suite": name, "versions": versions, "machine": machine, "tables": [table]}
    return copy.deepcopy(found)


def lines(*suites, notes=None):
    """Returns the lines of the page."""
    return page(suites, notes or {}).splitlines()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            MET,
            "- keyed allow: ours takes 0.662 times what governor takes; "
            "the target is at most 0.75: **met**.",
        ),
        (
            MISSED,
            "- sync allow: ours is 9 times as fast as limitpal 0.1.1; "
            "the target is at least 15: **missed**.",
        ),
        (ALONE, "- memory: 81.5 bytes; the target is at most 80: **missed**."),
    ],
)
def test_a_verdict_is_said_in_words(row, said):
    """With the ratio, the peer if there is one, and the target."""
    assert said in lines(suite("python", row))


def test_the_targets_are_counted():
    """Rows without a target are not."""
    found = lines(suite("rust", MET), suite("python", MISSED, AGAIN, UNJUDGED))

    assert "There are 3 targets: 2 were met, 1 missed." in found


def test_a_missed_row_is_listed_with_its_reason():
    """The reason is the one that somebody wrote down for its case."""
    found = page([suite("python", MET, MISSED)], {"sync allow": "The floor is 50 ns.\n"})

    listed = found.partition("## What was missed, and why")[2]
    assert "### Python: sync allow\n\n" in listed
    assert "Ours is 9 times as fast as limitpal 0.1.1; the target is at least 15.\n" in listed
    assert "The floor is 50 ns.\n" in listed
    assert "keyed allow" not in listed


def test_a_missed_row_without_a_reason_says_so():
    """Nobody may overlook it."""
    listed = page([suite("python", ALONE)], {}).partition("## What was missed, and why")[2]

    assert "### Python: memory" in listed
    assert "Nobody has written down why yet." in listed


def test_nothing_missed_is_said_too():
    """The heading stands, so that a reader need not wonder."""
    listed = page([suite("rust", MET)], {}).partition("## What was missed, and why")[2]

    assert listed.strip() == "Nothing was missed."


def test_a_case_with_two_targets_stands_in_the_table_once():
    """With the figures of both rows, and has two verdicts below it."""
    fewer = AGAIN | {"values": {"limitpal": 60.0, "token-bucket": 420.0}}
    found = lines(suite("python", MISSED, fewer))

    assert found.count("| **limitpal** | **60** |") == 1
    assert found.count("| limitpal 0.1.1 | 540 |") == 1
    assert len([line for line in found if line.startswith("- sync allow: ")]) == 2


def test_the_longer_side_of_a_table_runs_downwards():
    """Many libraries and one case: a line for each library; the reverse: one for each case."""
    many_cases = [MET | {"case": f"case {number}"} for number in range(3)]

    assert "| | keyed allow |" not in lines(suite("rust", *many_cases))
    assert "| case 2 | **35.1** | 53 |" in lines(suite("rust", *many_cases))
    assert "| limitpal 0.1.1 | 540 |" in lines(suite("python", MISSED))


def test_a_figure_that_was_not_measured_is_a_dash():
    """Not every library has everything."""
    found = lines(suite("python", MISSED, UNJUDGED))

    assert "| backoff | – | 1,680 |" in found


def test_a_row_says_its_own_unit():
    """When it is not the table's."""
    found = lines(suite("python", ALONE, MET, UNJUDGED))

    assert any("memory, bytes" in line for line in found)


def test_only_a_table_that_compares_has_a_plot():
    """A bar alone says nothing."""
    assert "benchmarks/the-calls.svg" in page([suite("rust", MET, title="The calls")], {})
    assert ".svg" not in page([suite("python", ALONE)], {})


def test_the_suites_stand_in_one_order():
    """However the files were named on the command line."""
    suites = [suite("instructions", UNJUDGED), suite("python", MISSED), suite("rust", MET)]

    headings = [line for line in lines(*suites) if line.startswith("## ")]
    assert headings[-4:] == [
        "## Rust",
        "## Python",
        "## Instructions",
        "## What was missed, and why",
    ]


def test_rows_measured_apart_stand_behind_the_others_of_their_table():
    """Ten million keys have a word of their own, and a file."""
    apart = suite("rust", MET | {"case": "keyed allow, 10 M keys"})
    whole = suite("rust", MET)
    whole["tables"].append(suite("rust", UNJUDGED, title="Retries")["tables"][0])
    written = lines(apart, whole)

    assert written.count("## Rust") == 1
    assert written.count("### Calls") == 1
    told = [line for line in written if line.startswith("- keyed allow")]
    assert [line.partition(":")[0] for line in told] == [
        "- keyed allow",
        "- keyed allow, 10 M keys",
    ]


def test_a_row_measured_again_takes_the_place_of_the_other():
    """The latest figures stand, once."""
    whole = suite("rust", MET, UNJUDGED)
    whole["tables"].append(suite("rust", UNJUDGED, title="Retries")["tables"][0])
    again = suite("rust", MET | {"ratio": 0.7})

    told = [line for line in lines(whole, again) if line.startswith("- keyed allow")]
    assert len(told) == 1
    assert "0.7 times" in told[0]


def test_machine_and_versions_are_named():
    """Figures mean nothing without."""
    found = lines(suite("rust", MET))

    assert "- Processor: a processor" in found
    assert "- Rust: governor 0.10.4." in found


def test_a_note_is_one_sentence_a_line():
    """As all our Markdown."""
    found = lines(suite("rust", MET))

    assert found[found.index("One sentence.") + 1] == "Two."


def test_figures_made_in_a_hurry_are_called_so():
    """`--quick` is for seeing that everything works."""
    hurried = suite("rust", MET) | {"quick": True}

    assert "**Worth nothing: made with `--quick`: Rust.**" in lines(hurried, suite("python", MET))
    assert "Worth nothing" not in page([suite("python", MET) | {"quick": False}], {})
