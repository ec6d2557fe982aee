"""The demo: the same jobs at a hard provider, naive and with LimitPal, in a few real seconds."""

import asyncio
import io
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from demo.__main__ import Turn, conclude, parse_plan, play
from demo.meter import Meter, MeteredTransport
from demo.plan import Plan
from demo.provider import Provider
from demo.report import differences, progress_line

ROOT = Path(__file__).parents[2]
SHORT = Plan(
    requests=42,
    bursts=3,
    burst_gap=0.7,
    window=0.35,
    outage_start=0.5,
    outage=0.7,
    recovery_timeout=0.2,
    quick_answer=0.005,
    slow_answer=0.1,
)


@pytest.fixture(scope="module")
def showing() -> tuple[list[Turn], str]:
    """One short showing, which several tests look at."""
    out = io.StringIO()
    with Provider() as provider:
        turns = asyncio.run(play(SHORT, provider, out))
    conclude(turns, out)
    return turns, out.getvalue()


def test_limitpal_wins_where_the_naive_client_loses(showing: tuple[list[Turn], str]) -> None:
    """More jobs done, hardly a 429, few requests into the outage."""
    naive, limitpal = (turn.meter for turn in showing[0])

    assert limitpal.success_rate >= 0.95
    assert naive.success_rate <= 0.75
    assert naive.over_quota >= SHORT.quota
    assert limitpal.over_quota <= naive.over_quota / 4
    assert limitpal.into_outage <= naive.into_outage / 3
    assert limitpal.sent < naive.sent


def test_the_breaker_opens_in_the_outage_and_closes_after_it(
    showing: tuple[list[Turn], str],
) -> None:
    """The meter sees the whole way: closed, open, half_open … closed."""
    seen = showing[0][1].meter.transitions

    assert (seen[0].before, seen[0].after) == ("closed", "open")
    assert SHORT.in_outage(seen[0].at)
    assert (seen[-1].before, seen[-1].after) == ("half_open", "closed")
    assert seen[-1].at >= SHORT.outage_end


def test_jobs_wait_for_quota(showing: tuple[list[Turn], str]) -> None:
    """Each run notes its wait before the first attempt, and in a burst some wait long."""
    meter = showing[0][1].meter

    assert meter.done <= len(meter.waits) <= meter.sent
    assert max(meter.waits) > 1 / SHORT.refill_rate


def test_both_sides_counted_alike(showing: tuple[list[Turn], str]) -> None:
    """Client and provider agree, but for requests that were under way when the outage ended."""
    for turn in showing[0]:
        found = [line for line in differences(turn.meter, turn.shift) if "outage" not in line]

        assert found == []
        assert turn.meter.done + turn.meter.failed == SHORT.requests


def test_a_difference_is_said_aloud(showing: tuple[list[Turn], str]) -> None:
    """Wrong books do not pass for right ones."""
    turn = showing[0][0]

    found = differences(Meter(SHORT, 0.0), turn.shift)

    assert f"requests: counted 0 here, {turn.shift.received} there" in found


def test_the_table_shows_the_counts(showing: tuple[list[Turn], str]) -> None:
    """Plain lines where there is no terminal, and the numbers of the meters."""
    turns, text = showing

    assert "\r" not in text
    assert "\x1b" not in text
    for title, count in (
        ("requests sent", "sent"),
        ("429 received", "over_quota"),
        ("5xx received", "server_errors"),
        ("sent into the outage", "into_outage"),
    ):
        row = next(line for line in text.splitlines() if line.startswith(title))
        counted = [str(getattr(turn.meter, count)) for turn in turns]
        assert row.removeprefix(title).split() == counted


def test_progress_tells_of_the_outage() -> None:
    """The line says how far the client is and that the provider is down."""
    meter = Meter(Plan(outage_start=0.0, outage=1e9), started=0.0, done=150)

    line = progress_line("naive", meter)

    assert "150/300" in line
    assert line.endswith("DOWN")


async def test_above_the_quota_the_provider_answers_429_with_retry_after() -> None:
    """Each request counts; the one too many hears when to come back."""
    plan = Plan(requests=100, outage_start=99.0, failure_share=0.0, slow_share=0.0)
    with Provider() as provider:
        meter = Meter(plan, provider.begin(plan).started)
        async with httpx.AsyncClient(
            base_url=provider.url, transport=MeteredTransport(meter)
        ) as http:
            answers = await asyncio.gather(*(http.get("/") for _ in range(plan.quota + 1)))

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.headers["retry-after"] for answer in refused] == ["1"]
    assert meter.over_quota == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--requests", "0"], "'0' will not do; give a whole number from 100 to 500"),
        (["--requests", "many"], "'many' will not do; give a whole number from 100 to 500"),
        (["--seed", "-1"], "'-1' will not do; give a whole number from 0 to 4294967295"),
        (["--outage", "nan"], "'nan' will not do; give seconds from 0 to 10"),
        (["--outage", "60"], "'60' will not do; give seconds from 0 to 10"),
    ],
)
def test_bad_arguments_get_clear_errors(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the value and the way out."""
    with pytest.raises(SystemExit) as refused:
        parse_plan(arguments)

    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal on POSIX")
def test_ctrl_c_ends_the_demo_cleanly() -> None:
    """No traceback, the usual exit status."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "demo", "--requests", "100"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        first_progress = next(line for line in demo.stdout if line.startswith("naive    ["))
        demo.send_signal(signal.SIGINT)
        _, complaints = demo.communicate(timeout=10)

    assert "/100" in first_progress
    assert demo.returncode == 130
    assert complaints == "\nstopped\n"
