"""Breakages of what several ranks tell each other, and of what a step leaves behind. See test_sabotage.py."""

BREAKAGES = {
    "ranks do not compare their numbers of batches": (
        "plugins/batch_agreement.py",
        "if least == most:",
        "if least <= most:",
        "tests/plugins/test_rank_agreement.py::test_numbers_of_batches_that_differ_are_told_on_both_ranks",
    ),
    "a rank that fails does not wait to be heard": (
        "plugins/rank_watch.py",
        "while self._store.add(_HEARD, 0) < self._size - 1 and",
        "while False and",
        "tests/plugins/test_rank_watch.py"
        "::test_what_a_rank_failed_of_reaches_the_other_and_comes_before_what_that_noticed_of_it",
    ),
    "every error is called another rank's": (
        "plugins/rank_watch.py",
        "if type(error) is RuntimeError or",
        "if isinstance(error, Exception) or",
        "tests/plugins/test_rank_watch.py::test_errors_of_other_kinds_are_a_ranks_own",
    ),
    "a request to stop is a failure": (
        "plugins/rank_watch.py",
        "isinstance(exception, Exception)",
        "isinstance(exception, BaseException)",
        "tests/plugins/test_rank_watch.py::test_a_request_to_stop_is_no_failure",
    ),
    "a rank is reported a second too early": (
        "apps/train/rank_signs.py",
        "now - since - missed > self.silence",
        "now - since - missed >= self.silence",
        "tests/apps/train/test_rank_signs.py::test_not_a_second_too_early",
    ),
    "a driver that was stopped calls its ranks silent": (
        "apps/train/rank_signs.py",
        "if now - self._looked > self.silence / 2 else 0.0",
        "if now - self._looked < 0 else 0.0",
        "tests/apps/train/test_rank_signs.py::test_a_driver_that_was_stopped_itself_reports_nobody",
    ),
    "the last failure is the one that is told": (
        "apps/train/rank_signs.py",
        "first = min(found",
        "first = max(found",
        "tests/apps/train/test_rank_signs.py::test_the_failure_that_came_first_is_the_one_that_is_told",
    ),
    "class weights act an epoch late": (
        "objectives/ldam_drw.py",
        "return self.class_weights[given_label] if self.epoch >= self.drw_epoch else None",
        "return self.class_weights[given_label] if self.epoch > self.drw_epoch else None",
        "tests/plugins/dsink/test_fifty_steps.py"
        "::test_what_begins_at_an_epoch_begins_at_that_one_on_two_ranks_as_on_one",
    ),
    "the warm-up ends an epoch early": (
        "plugins/dsink/dsink.py",
        "return self.alpha * epoch / self.warmup_epochs",
        "return self.alpha * (epoch + 1) / self.warmup_epochs",
        "tests/plugins/dsink/test_fifty_steps.py"
        "::test_what_begins_at_an_epoch_begins_at_that_one_on_two_ranks_as_on_one",
    ),
    "a step that is left out has the labels of the one before": (
        "plugins/dsink/capture.py",
        "        self.dsink.last_step = None\n",
        "",
        "tests/plugins/dsink/test_mixin_caught_errors.py"
        "::test_the_monitor_does_not_count_an_earlier_steps_labels_for_a_step_that_was_left_out",
    ),
    "a fit is refused for the last step of the one before": (
        "plugins/dsink/dsink.py",
        "self._nonfinite.forget()",
        "pass",
        "tests/plugins/dsink/test_mixin_caught_errors.py::test_a_fit_that_failed_does_not_make_the_next_one_refuse",
    ),
    "the capture stays armed after a step that failed": (
        "plugins/dsink/capture.py",
        "        finally:\n            self._is_armed = False\n            calls",
        "        finally:\n            calls",
        "tests/plugins/dsink/test_mixin_caught_errors.py::test_the_next_step_has_its_own_logits_and_is_not_refused",
    ),
    "a step that failed after adding speaks for the next one": (
        "plugins/dsink/capture.py",
        "self._is_armed, self._was_added, self._num_added = True, False, 0",
        "self._is_armed, self._num_added = True, 0",
        "tests/plugins/dsink/test_mixin_caught_errors.py"
        "::test_a_step_that_failed_after_adding_does_not_speak_for_the_next_one",
    ),
    "an absorbed scaling takes a sweep too many": (
        "transport/compiled.py",
        "min(sweeps, max_iterations - 1)",
        "min(sweeps, max_iterations - 0)",
        "tests/transport/test_sinkhorn_limits.py",
    ),
}
