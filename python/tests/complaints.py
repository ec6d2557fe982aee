"""The complaints of `test_complaints.py`: where, what, and which tests answer."""

#: Where it was said, what was said, and the tests that say it is otherwise here.
COMPLAINTS = [
    (
        "tenacity#106, #228, #156, #25",
        "tests wait for real between attempts",
        [
            "test_testing.py::test_tenacity_106_a_test_need_not_wait_between_attempts",
            "test_executor_clock.py::test_the_given_clock_times_the_backoff",
        ],
    ),
    (
        "freezegun#437, #384, #383, #521",
        "frozen time hangs asyncio and changes other libraries",
        ["test_complaints.py::test_a_clock_for_tests_stops_nobody_elses_time"],
    ),
    (
        "tenacity#529, #186",
        "a retry swallows the cancellation of its task",
        [
            "test_delays.py::test_tenacity_529_a_predicate_that_says_yes_to_all_never_sees_cancellation",
            "test_retry.py::test_cancellation_is_never_retried",
            "test_executor_stops.py::test_a_stop_is_never_counted",
        ],
    ),
    (
        "tenacity#93",
        "calls at the same time disturb each other's attempt numbers",
        [
            "test_attempts.py::test_tenacity_93_loops_at_the_same_time_do_not_disturb_each_other",
            "test_delays.py::test_tenacity_93_each_run_goes_on_from_its_own_delays",
        ],
    ),
    (
        "tenacity#78, #519, #613",
        "statistics are wrong, or empty while the function runs",
        [
            "test_complaints.py::test_statistics_can_be_read_while_the_function_runs",
            "test_current_attempt.py::test_concurrent_tasks_read_their_own",
            "test_executor_stats.py::test_no_thread_s_run_is_lost",
        ],
    ),
    (
        "tenacity#346, #187",
        "a decorated function has lost its type and its attributes",
        [
            "test_complaints.py::test_a_wrapped_function_has_the_attributes_that_it_had",
            "test_guard.py::test_a_guarded_function_looks_like_itself",
            "typing/guard.py::sync_calls",
            "typing/guard.py::async_calls",
        ],
    ),
    (
        "tenacity#526, #710, stamina#137, anthropic-sdk-python#1760, Polly#2163",
        "the thousandth delay overflows",
        [
            "test_complaints.py::test_the_thousandth_delay_does_not_overflow",
            "test_complaints.py::test_a_run_of_two_thousand_attempts_ends",
        ],
    ),
    (
        "tenacity#487, #162, #223",
        "jitter has no floor, and its kinds go by other names than in the literature",
        ["test_delays.py::test_tenacity_487_jitter_by_name_with_a_floor_and_a_hard_cap"],
    ),
    (
        "tenacity#541, stamina#125, airflow#56762",
        "a server's Retry-After is not heard",
        [
            "test_delays.py::test_tenacity_541_the_wait_may_come_from_the_error",
            "test_delays.py::test_what_the_server_says_is_passed_over_where_it_is_no_time",
        ],
    ),
    (
        "stamina#26",
        "nothing is heard of an attempt before it begins and after it has ended",
        [
            "test_retry_hooks.py::test_they_hear_of_each_attempt_and_each_wait",
            "test_retry_hooks.py::test_a_loop_over_attempts_has_them_too",
        ],
    ),
    (
        "stamina#98, #73, #53",
        "a test of a failure makes all attempts",
        ["test_testing.py::test_stamina_98_a_test_may_cap_attempts"],
    ),
    (
        "backoff#47",
        "a program that shuts down waits for the next attempt",
        [
            "test_attempts.py::test_backoff_47_cancelling_a_task_ends_its_wait",
            "test_executor_stops.py::test_a_stop_during_backoff_ends_the_run",
        ],
    ),
    (
        "backoff#43, evener#342",
        "a number of attempts is no bound of time, and the other way round",
        [
            "test_delays.py::test_backoff_43_a_run_ends_by_time_as_well",
            "test_delays.py::test_no_most_attempts_means_as_many_as_it_takes",
        ],
    ),
    (
        "pybreaker#55, #3, #40, #41, #57, #77",
        "a breaker's lock makes calls wait for each other",
        [
            "test_breaker_peers.py::test_pybreaker_55_calls_do_not_wait_for_each_other",
            "test_breaker_call.py::test_no_lock_is_held_while_the_function_runs",
        ],
    ),
    (
        "pybreaker#7, #59, #102, #103, #104",
        "a coroutine function counts as a success when it is called",
        ["test_breaker_peers.py::test_pybreaker_7_coroutine_functions_are_counted_when_they_end"],
    ),
    (
        "pybreaker#5, #20",
        "errors can be excluded but not included, and values count as nothing",
        [
            "test_breaker_peers.py::test_pybreaker_5_errors_are_named_both_ways",
            "test_breaker_forms.py::test_results_can_be_failures",
        ],
    ),
    (
        "circuitbreaker#61",
        "a breaker loses failures of threads",
        [
            "test_breaker_peers.py::test_circuitbreaker_61_threads_lose_no_failure",
            "test_breaker_permits.py::test_threads_share_the_permits",
        ],
    ),
    (
        "circuitbreaker#69, resilience4j#2383, #515, #1657",
        "nobody knows whether the breaker goes around the retries or inside",
        [
            "test_breaker_peers.py::test_circuitbreaker_69_a_refusal_is_neither_retried_nor_counted",
            "test_executor_charge.py::test_a_failed_run_is_one_failure",
            "test_executor_charge.py::test_each_failed_attempt_is_a_failure",
        ],
    ),
    (
        "hyx#11",
        "a breaker knows no failure rate",
        ["test_breaker_peers.py::test_hyx_11_a_failure_rate_over_a_window_with_a_minimum"],
    ),
    (
        "hyx#83",
        "there is no budget of retries for a whole service",
        [
            "test_retry_budget.py::test_hyx_83_at_a_total_outage_attempts_are_a_share_more_than_calls",
            "test_retry_budget.py::test_executors_share_a_budget_sync_and_async",
        ],
    ),
    (
        "slowapi#169, #12, #37, #191, #39",
        "two functions of one name share a limit",
        ["test_complaints.py::test_two_functions_of_one_name_have_limits_of_their_own"],
    ),
    (
        "slowapi#169, #12, #37, #191, #39",
        "the wrong order of decorators turns the guard off unseen",
        [
            "test_guard.py::test_class_and_static_methods_are_guarded_in_either_order",
            "test_guard.py::test_what_is_no_function_is_refused",
        ],
    ),
    (
        "anyio#947, #1170, dotnet/runtime#77180",
        "a permit is lost with a waiter that is cancelled as it is let in",
        [
            "test_concurrency_tasks.py::test_cancelled_in_the_same_tick_as_it_is_let_in_it_hands_its_permit_on",
            "test_holding_executor.py::test_a_run_that_is_cancelled_gives_back",
        ],
    ),
    (
        "jac#7909, safe-client-gateway#3442, backon#26",
        "a half-open circuit lets everybody try, and one that is cancelled keeps its place",
        [
            "test_breaker_peers.py::test_jac_7909_probes_are_capped_and_their_places_come_back",
            "test_breaker_permits.py::test_half_open_lends_so_many_permits",
            "test_breaker_permits.py::test_a_cancelled_probe_leaves_the_circuit_half_open",
        ],
    ),
    (
        "Sentinel#1638, sentinel-golang#196",
        "a probe that another stage refuses keeps the circuit half-open for ever",
        [
            "test_executor_order.py::test_a_limiters_refusal_gives_the_permit_back",
            "test_executor_charge.py::test_a_refusal_on_a_later_attempt_frees_the_probe",
        ],
    ),
    (
        "resilience4j#544, #935, #1389",
        "an ignored error or a hung call eats the last permit",
        [
            "test_breaker_peers.py::test_resilience4j_544_an_ignored_error_eats_no_permit",
            "test_breaker_permits.py::test_a_hung_probe_lapses",
        ],
    ),
    (
        "Polly#216, #223",
        "late results of older calls decide the half-open state",
        [
            "test_breaker_peers.py::test_polly_216_late_results_of_older_calls_do_not_disturb_half_open",
            "test_breaker_permits.py::test_a_result_begun_in_an_earlier_state_does_not_count",
        ],
    ),
    (
        "Polly#933",
        "a breaker within itself never closes",
        [
            "test_complaints.py::test_a_breaker_that_is_asked_twice_in_one_call_closes",
            "test_complaints.py::test_with_one_permit_a_nested_breaker_still_recovers",
        ],
    ),
    (
        "opossum#276, #385, #119",
        "a half-open circuit is stuck below its minimum of calls",
        [
            "test_breaker_peers.py::test_opossum_276_a_half_open_circuit_is_not_stuck_below_the_minimum"
        ],
    ),
    (
        "go-zero#5551, #3837, concurrency-limits#176",
        "refusals of its own keep a breaker open",
        [
            "test_executor_stops.py::test_our_own_refusals_are_never_counted",
            "test_breaker_call.py::test_our_own_refusals_are_not_failures",
        ],
    ),
    (
        "failsafe-go#139, envoy#30205",
        "a budget of retries ignores its floor, or what is in its wait",
        [
            "test_retry_budget.py::test_attempts_never_exceed_the_calls_their_share_and_the_reserve",
            "test_retry_budget.py::test_a_run_that_is_cancelled_in_its_wait_gives_its_retry_back",
        ],
    ),
    (
        "the articles' pipeline",
        "retries send three times what the limit says",
        ["test_complaints.py::test_what_retries_cost_the_other_side_can_be_counted"],
    ),
    (
        "failsafe#393, #365, resilience4j#332",
        "who waits past its timeout keeps its place in the line",
        [
            "test_bulkhead_executor.py::test_a_run_that_is_cancelled_in_the_line_leaves_it",
            "test_timeouts_cancel.py::test_a_cancelled_run_gives_back_what_it_held",
        ],
    ),
    (
        "resilience4j#1657",
        "a full bulkhead opens the breaker",
        [
            "test_bulkhead_executor.py::test_a_full_one_feeds_no_other_stage",
        ],
    ),
    (
        "failsafe-go#141",
        "without budget for a hedge the call fails",
        [
            "test_hedge.py::test_the_cap_bounds_hedges_to_a_share_of_the_calls",
        ],
    ),
    (
        "grpc-java#7337, #9340, #9185",
        "calls that are hedged are neither ended nor let go",
        [
            "test_hedge_tasks.py::test_the_loser_is_cancelled_and_gone_before_the_answer_is_there",
            "test_hedge_tasks.py::test_cancelled_at_any_instant_nothing_is_left",
        ],
    ),
    (
        "resilience4j#626, #1592, #2506",
        "a timeout swallows the cancellation from outside",
        [
            "test_timeouts_cancel.py::test_a_cancellation_from_outside_stays_one",
            "test_timeouts_cancel.py::test_a_cancellation_in_the_same_turn_as_ours_is_not_swallowed",
        ],
    ),
]
