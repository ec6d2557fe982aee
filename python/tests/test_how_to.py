"""The pages "from tenacity", "from pybreaker" and "from limits" leave no name of theirs out."""

import re
from pathlib import Path

import pytest

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"

#: The public names of each, as its release lists them; those a user gives, calls or catches.
NAMES = {
    "from-tenacity.md": """
        retry Retrying AsyncRetrying RetryError TryAgain retry_state retry_with copy statistics
        enabled name tornado
        stop_after_attempt stop_after_delay stop_before_delay stop_never stop_any stop_all
        stop_when_event_set
        wait_none wait_fixed wait_random wait_incrementing wait_exponential wait_random_exponential
        wait_full_jitter wait_exponential_jitter wait_chain wait_combine wait_exception
        retry_if_exception retry_if_exception_type retry_if_not_exception_type
        retry_unless_exception_type retry_if_exception_cause_type retry_if_exception_message
        retry_if_not_exception_message retry_if_result retry_if_not_result retry_any retry_all
        retry_always retry_never
        before after before_sleep before_log after_log before_sleep_log
        reraise retry_error_cls retry_error_callback last_attempt sleep nap sleep_using_event
        set_result attempt_number idle_for seconds_since_start
    """,
    "from-pybreaker.md": """
        fail_max reset_timeout success_threshold exclude listeners state_storage name
        throw_new_error_on_trip call call_async calling current_state fail_counter success_counter
        open close half_open add_excluded_exception remove_excluded_exception excluded_exceptions
        is_system_error add_listener remove_listener before_call success failure state_change
        CircuitBreakerError CircuitMemoryStorage CircuitRedisStorage cluster_mode
        fallback_circuit_state
    """,
    "from-limits.md": """
        parse parse_many RateLimitItemPerSecond PerMinute PerHour PerDay RateLimitItemPerMonth
        PerYear multiples namespace amount get_expiry FixedWindowRateLimiter
        MovingWindowRateLimiter SlidingWindowCounterRateLimiter aio hit test cost
        get_window_stats clear reset get check MemoryStorage storage_from_string wrap_exceptions
    """,
}


@pytest.mark.parametrize("page", NAMES)
def test_each_name_of_the_peer_is_translated(page):
    """In a table or a sentence, as code."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    prose = re.sub("^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    code = " ".join(re.findall("`([^`]+)`", prose))

    assert [name for name in NAMES[page].split() if name not in code] == []


@pytest.mark.parametrize("page", NAMES)
def test_what_is_not_here_says_why_or_what_instead(page):
    """No row ends at "not here"."""
    for row in (HOW_TO / page).read_text(encoding="utf-8").splitlines():
        if row.startswith("|") and "not here" in row:
            assert len(row.partition("not here")[2].strip(" |")) > 10, row
