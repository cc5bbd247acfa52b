"""Breakages of what runs and measures: commands, results and benchmarks. See test_sabotage.py."""

BREAKAGES = {
    "a command imports torch before it is needed": (
        "apps/train/command.py",
        "import hydra\n",
        "import hydra\nimport torch\n",
        "tests/apps/test_start_up.py::test_a_command_answers_without_torch_what_needs_none",
    ),
    "forked jobs share their random numbers": (
        "apps/sweep/fork_server.py",
        'sys.modules["numpy"].random.seed()',
        "pass",
        "tests/apps/sweep/test_fork_server.py::test_a_job_has_a_session_a_log_a_folder_and_random_numbers_of_its_own",
    ),
    "a job is forked from a process of another environment": (
        "apps/sweep/job_process.py",
        "(server.entry, server.environment) == (entry, environment)",
        "server.entry == entry",
        "tests/apps/sweep/test_job_process.py::test_a_job_with_another_environment_or_entry_has_a_server_of_its_own",
    ),
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
        "apps/train/teachers.py",
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
    "a name of a run is markup in its page": (
        "evaluation/pages/html_page.py",
        "autoescape=True",
        "autoescape=False",
        "tests/evaluation/pages/test_html_page.py::test_no_text_becomes_a_tag_or_an_attribute",
    ),
    "better than the first is best": (
        "evaluation/comparison/summary.py",
        "for other in values if other != method]",
        "for other in list(values)[:1] if other != method]",
        "tests/evaluation/comparison/test_summary.py::test_best_needs_an_interval_above_zero_against_every_other_method",
    ),
    "a job of an earlier release is another job": (
        "apps/config/job_record.py",
        "first_names.get(name, name): value",
        "name: value",
        "tests/apps/config/test_job_record.py::test_a_setting_that_was_renamed_keeps_its_place_in_the_hash",
    ),
    "a solver is taken at its word": (
        "bench/solvers.py",
        "        if not verdict.meets_criterion:",
        "        if False:",
        "tests/bench/test_solvers.py::test_a_solver_that_says_it_is_done_and_is_not_is_refused",
    ),
    "finished measurements are taken again": (
        "bench/transport.py",
        "if problem.name in document.measurements:",
        "if False:",
        "tests/bench/test_transport.py::test_finished_measurements_are_kept_and_only_the_others_measured",
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
