"""What the libraries of other languages have: each is here with a test, or left out with a reason.

Libraries read: resilience4j, Polly, failsafe, failsafe-go, Sentinel, Envoy, Finagle, gRPC, the AWS
SDKs, cockatiel, opossum and gobreaker. A row names tests, as "file::test", or a row of the page
`docs/explanation/not-here.md`.
"""

import re

import pytest

from test_complaints import HERE, functions_of

NOT_HERE = HERE.parents[1] / "docs" / "explanation" / "not-here.md"

ROWS = [
    # Retry
    (
        "exponential backoff and a cap",
        "test_retry.py::test_delay_is_the_formula",
    ),
    (
        "kinds of jitter",
        "test_delays.py::test_tenacity_487_jitter_by_name_with_a_floor_and_a_hard_cap",
    ),
    (
        "backoff by class of error",
        "test_delays.py::test_an_error_by_its_class_has_delays_of_its_own",
    ),
    (
        "retry on a result",
        "test_retry_on_result.py::test_a_value_that_is_not_good_enough_is_asked_for_again",
    ),
    (
        "predicates that end it",
        "test_delays.py::test_retry_if_and_retry_on_must_both_agree",
    ),
    (
        "a longest time in all",
        "test_delays.py::test_backoff_43_a_run_ends_by_time_as_well",
    ),
    (
        "a server's delay is honoured",
        "test_delays.py::test_tenacity_541_the_wait_may_come_from_the_error",
    ),
    (
        "the attempt's number sent to the server",
        "not-here: (`attempt` header)",
    ),
    (
        "transparent retry",
        "not-here: Transparent retry",
    ),
    (
        "safe-method guard",
        "not-here: Safe-method guard",
    ),
    # Retry budget
    (
        "a budget as a share of the traffic",
        "test_retry_budget.py::test_hyx_83_at_a_total_outage_attempts_are_a_share_more_than_calls",
    ),
    (
        "a floor for quiet clients",
        "test_retry_budget.py::test_attempts_never_exceed_the_calls_their_share_and_the_reserve",
    ),
    (
        "a budget that covers hedges",
        "test_hedge.py::test_at_a_total_outage_attempts_stay_within_the_budget",
    ),
    # Circuit breaker
    (
        "consecutive failures",
        "test_breaker.py::test_the_threshold_opens",
    ),
    (
        "a count window",
        "test_breaker_rules.py::test_a_rule_trips_at_its_number_and_not_below",
    ),
    (
        "a time window",
        "test_breaker_rules.py::test_a_window_forgets_what_is_older",
    ),
    (
        "a failure rate and a minimum of calls",
        "test_breaker_peers.py::test_hyx_11_a_failure_rate_over_a_window_with_a_minimum",
    ),
    (
        "slow calls",
        "test_breaker_rules.py::test_slow_calls_trip_though_they_succeed",
    ),
    (
        "several permits in half-open",
        "test_breaker_permits.py::test_half_open_lends_so_many_permits",
    ),
    (
        "a longest time in half-open",
        "test_breaker_rules.py::test_half_open_lasts_no_longer_than_it_may",
    ),
    (
        "a ramp after recovery",
        "test_breaker_rules.py::test_a_ramp_admits_its_shares_one_after_the_other",
    ),
    (
        "forced open",
        "test_breaker_modes.py::test_forced_open_refuses_until_it_is_told_otherwise",
    ),
    (
        "disabled",
        "test_breaker_modes.py::test_disabled_counts_nothing",
    ),
    (
        "metrics only, shadow",
        "test_breaker_modes.py::test_shadow_counts_and_refuses_nobody",
    ),
    (
        "an open time that grows",
        "test_breaker_rules.py::test_the_open_time_grows_and_is_the_first_again_after_a_recovery",
    ),
    (
        "a breaker for each key",
        "test_breaker_keyed.py::test_a_key_that_fails_stops_no_other",
    ),
    (
        "stale outcomes are ignored",
        "test_breaker_permits.py::test_a_result_begun_in_an_earlier_state_does_not_count",
    ),
    (
        "never trips everything",
        "not-here: Never opens for everybody",
    ),
    (
        "state export and import",
        "test_breaker_snapshot.py::test_an_open_circuit_is_open_for_the_time_that_was_left",
    ),
    # Bulkhead, timeout, hedge, fallback, cache
    (
        "a bulkhead",
        "test_bulkhead.py::test_it_is_given_back_at_the_end_of_each_form",
    ),
    (
        "a bulkhead's line",
        "test_bulkhead.py::test_those_who_wait_come_in_in_order_and_the_line_has_an_end",
    ),
    (
        "a timeout of an attempt",
        "test_timeouts.py::test_an_attempt_that_takes_too_long_is_cancelled_and_the_next_one_begins",
    ),
    (
        "a timeout of all",
        "test_timeouts.py::test_the_end_of_the_run_within_an_attempt_is_a_failure_and_final",
    ),
    (
        "deadlines that are handed on",
        "test_timeouts.py::test_a_run_within_an_attempt_has_its_deadline",
    ),
    (
        "hedges",
        "test_hedge.py::test_a_slow_try_gets_another_and_the_first_value_wins",
    ),
    (
        "hedges at a percentile",
        "test_hedge.py::test_a_percentile_takes_the_place_of_the_delay_once_enough_is_known",
    ),
    (
        "a cap on the load of hedges",
        "test_hedge.py::test_the_cap_bounds_hedges_to_a_share_of_the_calls",
    ),
    (
        "a fallback",
        "test_fallback.py::test_it_answers_errors_exhaustion_and_refusals_alike_and_values_never",
    ),
    (
        "a cache",
        "test_cache.py::test_a_value_is_fresh_for_its_time_and_not_at_its_end",
    ),
    (
        "equal calls in flight are joined",
        "test_cache_flights.py::test_tasks_get_the_value_of_one_run",
    ),
    # Composition, configuration, registries
    (
        "an ordered pipeline object",
        "test_executor_order.py::test_the_limiter_comes_before_the_function",
    ),
    (
        "a default order",
        "test_executor_order.py::test_an_open_circuit_takes_no_quota",
    ),
    (
        "checks across policies",
        "test_timeouts.py::test_what_makes_no_sense_is_refused",
    ),
    (
        "checks across policies that may be meant",
        "not-here: Checks across policies",
    ),
    (
        "all or nothing over several limiters",
        "test_composite.py::test_a_refusal_leaves_every_part_as_it_was",
    ),
    (
        "configuration as data",
        "test_from_dict.py::test_an_executor_is_made_of_what_json_can_carry",
    ),
    (
        "hot reload",
        "not-here: Loading a whole configuration anew",
    ),
    (
        "a named registry",
        "test_registry.py::test_an_executor_is_found_by_its_name",
    ),
    # Events
    (
        "events and listeners",
        "test_breaker_modes.py::test_callbacks_hear_what_happens_in_its_order",
    ),
    (
        "metrics exporters",
        "not-here: Exporters for metrics",
    ),
    (
        "a signal near the limit",
        "test_events.py::test_every_limiter_tells_of_use_and_of_refusals",
    ),
    (
        "a dry run of a limit",
        "not-here: A dry run of a limit",
    ),
    # Testing
    (
        "an injectable clock",
        "test_executor_clock.py::test_the_given_clock_times_the_backoff",
    ),
    (
        "chaos injection",
        "not-here: Injecting faults and latency",
    ),
    (
        "a pipeline descriptor for tests",
        "test_executor_parts.py::test_repr_shows_what_was_built",
    ),
    (
        "a simulator",
        "not-here: A simulator of traffic",
    ),
]


@pytest.mark.parametrize(("row", "place"), ROWS)
def test_each_row_is_here_or_left_out_with_a_reason(row, place):
    """A test that is gone, or a reason that is, takes the claim along."""
    where, _, what = place.partition("::")
    if what:
        assert what in functions_of(where), row
        return
    reason = place.removeprefix("not-here: ")
    rows = [line for line in NOT_HERE.read_text(encoding="utf-8").splitlines() if reason in line]
    assert len(rows) == 1, reason
    assert len(re.split(r"(?<!\\)\|", rows[0])[3]) > 40, "why not, and what instead"
