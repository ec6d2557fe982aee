"""Shows LimitPal's main job on real input: run it with `python -m demo`.

A real HTTP server on loopback plays a hard provider. It serves a fixed number of requests in any
one second and answers 429 with `Retry-After` above that; some requests fail with a random 503,
some are slow, and for some seconds it is down. The same jobs go through a naive httpx client that
tries again at once, and through the same client inside an `AsyncResilientExecutor`. The table at
the end holds what the two clients counted themselves; the provider's own books are the cross-check.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from demo.clients import Client, NaiveClient, ResilientClient, take_turn
from demo.meter import Meter
from demo.plan import Plan
from demo.provider import Provider, Shift
from demo.report import differences, show_progress, table, transition_lines


@dataclass(frozen=True)
class Turn:
    """One client's turn, when it is over: its own counts and the provider's books."""

    name: str
    meter: Meter
    shift: Shift


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Returns a parser of whole numbers in a range, for argparse."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} will not do; give a whole number from {low} to {high}"
            )
        return number

    return parse


def seconds(high: float) -> Callable[[str], float]:
    """Returns a parser of seconds from 0 to `high`, for argparse."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0.0 <= number <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} will not do; give seconds from 0 to {high:g}"
            )
        return number

    return parse


def parse_plan(arguments: Sequence[str]) -> Plan:
    """Returns the plan that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--requests",
        type=whole_number(100, 500),
        default=Plan.requests,
        help="jobs for each client, 100 to 500 (default %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**32 - 1),
        default=Plan.seed,
        help="seed of the provider's luck and of the jitter (default %(default)s)",
    )
    parser.add_argument(
        "--outage",
        type=seconds(10.0),
        default=Plan.outage,
        help="seconds the provider is down, 0 to 10 (default %(default)s)",
    )
    return Plan(**vars(parser.parse_args(arguments)))


async def play(plan: Plan, provider: Provider, out: TextIO) -> list[Turn]:
    """Gives each client its turn at the provider, with progress."""
    turns = []
    makers: tuple[Callable[[Meter], Client], ...] = (NaiveClient, ResilientClient)
    for make in makers:
        shift = provider.begin(plan)
        meter = Meter(plan, shift.started)
        client = make(meter)
        progress = asyncio.create_task(show_progress(client.name, meter, client.look, out))
        try:
            await take_turn(client, meter, provider.url)
        finally:
            progress.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await progress
        turns.append(Turn(client.name, meter, shift))
    return turns


async def play_until_ctrl_c(plan: Plan, provider: Provider, out: TextIO) -> list[Turn]:
    """Plays; Ctrl-C cancels it, so that it ends at an `await` on every Python."""
    playing = asyncio.create_task(play(plan, provider, out))
    with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt will do
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, playing.cancel)
    return await playing


def introduce(plan: Plan, url: str, out: TextIO) -> None:
    """Says what is about to happen."""
    print(
        f"A hard provider at {url}: {plan.quota} requests in any {plan.window:g} s, "
        f"{100 * plan.failure_share:.0f} % random 503,\n"
        f"{100 * plan.slow_share:.0f} % slow answers, "
        f"down from {plan.outage_start:g} s to {plan.outage_end:g} s. "
        f"{plan.requests} jobs in {plan.bursts} bursts, {plan.burst_gap:g} s apart.\n"
        f"naive: up to {plan.tries} tries, one right after the other.\n"
        f"limitpal: up to {plan.tries} attempts with backoff, "
        f"{plan.refill_rate:g} a second (burst {plan.burst}), a circuit breaker.\n"
        "On the way: jobs over, time, jobs done, requests sent, and DOWN while the provider is.\n",
        file=out,
        flush=True,
    )


def conclude(turns: Sequence[Turn], out: TextIO) -> None:
    """Prints the table, the breaker's story, and whether both sides counted alike."""
    names = [turn.name for turn in turns]
    print("\n" + table(names, [turn.meter for turn in turns]), file=out)
    print(
        "A job that the open breaker turns away sends nothing; it stays here and comes again.",
        file=out,
    )
    for turn in turns:
        if turn.meter.transitions:
            print(f"\n{turn.name}'s breaker:", file=out)
            print("\n".join(transition_lines(turn.meter)), file=out)
    print(file=out)
    for turn in turns:
        found = differences(turn.meter, turn.shift)
        verdict = "; ".join(found) if found else "agree with what the client counted"
        print(f"The provider's own books, {turn.name}: {verdict}.", file=out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns the exit status."""
    plan = parse_plan(sys.argv[1:] if arguments is None else arguments)
    try:
        with Provider() as provider:
            introduce(plan, provider.url, sys.stdout)
            turns = asyncio.run(play_until_ctrl_c(plan, provider, sys.stdout))
        conclude(turns, sys.stdout)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
