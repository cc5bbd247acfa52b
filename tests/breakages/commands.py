"""Breakages of what runs and measures: commands, results and benchmarks. See test_sabotage.py."""

BREAKAGES = {
    "the living lose their leases": (
        "_lease.py",
        "is_expired = time.monotonic() - changed_at > self.expiry",
        "is_expired = True",
        "tests/test_lease.py::test_a_living_holder_is_waited_for",
    ),
    "a network stays compiled": (
        "apps/train/compiled.py",
        "network._compiled_call_impl = None",
        "pass",
        "tests/apps/train/test_compiled.py::test_afterwards_hooks_are_seen_also_after_an_error",
    ),
    "cached teachers are asked for and live ones taken": (
        "apps/train/study.py",
        'if self.config.teachers == "live":',
        "if True:",
        "tests/apps/train/test_cached_teachers.py::test_a_step_asks_the_teachers_that_the_settings_name",
    ),
    "a checkpoint is written in place": (
        "apps/train/unfinished.py",
        "write_bytes(path, buffer.getvalue())",
        'open(path, "wb").write(buffer.getvalue())',
        "tests/apps/train/test_unfinished.py",
    ),
    "outline above zero only": (
        "evaluation/figures/gain_map.py",
        "gain.difference.is_above_zero or gain.difference.is_below_zero",
        "gain.difference.is_above_zero",
        "tests/evaluation/figures/test_gain_map.py::test_outlines_mark_the_intervals_that_leave_out_zero_on_either_side",
    ),
    "a solver is taken at its word": (
        "bench/solvers.py",
        "        if not verdict.meets_criterion:",
        "        if False:",
        "tests/bench/test_solvers.py::test_a_solver_that_says_it_is_done_and_is_not_is_refused",
    ),
    "finished cells are timed again": (
        "bench/transport.py",
        "if cell.name in document.cells:",
        "if False:",
        "tests/bench/test_transport.py::test_finished_cells_are_kept_and_only_the_others_measured",
    ),
    "extras count as peers": (
        "bench/measure.py",
        'row["group"] in ("library", "loop")',
        'row["group"] != "ours"',
        "tests/bench/test_measure.py::test_extras_and_solvers_that_fall_short_are_no_peers",
    ),
    "settings mix in a document": (
        "bench/document.py",
        "            if old != new:",
        "            if False:",
        "tests/bench/test_document.py::test_other_settings_do_not_mix",
    ),
    "times are not a call's": (
        "bench/timing.py",
        "samples[name].append(took / calls[name])",
        "samples[name].append(took)",
        "tests/bench/test_timing.py::test_a_call_that_lasts_longer_has_longer_samples",
    ),
}
