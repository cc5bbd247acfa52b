"""Small breakages of the package, each of which a named test must notice.

A breakage is applied to a copy of the package; the test that is named runs against the copy and has to fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: What is broken: file, text, replacement, test that turns red.
BREAKAGES = {
    "a wide scaling is not absorbed": (
        "transport/exponentiated.py",
        "return greatest(u) < GREATEST_RANGE * least(u)",
        "return True",
        "tests/transport/test_scaling.py::test_scalings_wider_than_an_exponential_are_absorbed",
    ),
    "what was absorbed is forgotten": (
        "transport/compiled.py",
        "base = scaling.clone() if base is None else base + scaling",
        "base = scaling.clone()",
        "tests/transport/test_scaling.py::test_scalings_wider_than_an_exponential_are_absorbed",
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
    "the kernel never drops its momentum": (
        "transport/fused_kernel.py",
        "age = tl.where(_total(deviation * way) < 0.0, 1.0, age + 1.0)",
        "age = age + 1.0",
        "tests/transport/test_fused_kernel.py",
    ),
    "masked rows pull at the student": (
        "transport/fused_kernel.py",
        "tl.exp(log_p) * is_present.to(tl.float32)[None, :, None] - plan",
        "tl.exp(log_p) - plan",
        "tests/transport/test_fused.py",
    ),
    "views averaged as logarithms": (
        "teachers/prediction_table.py",
        "place, log_probs.exp().to(self._rows.dtype))",
        "place, log_probs.to(self._rows.dtype))",
        "tests/teachers/test_prediction_table.py::test_views_are_averaged_as_probabilities",
    ),
    "an index outside of the table takes its last row": (
        "teachers/cached.py",
        "return rows.masked_fill_(is_outside[:, None], torch.nan)",
        "return rows",
        "tests/teachers/test_cached.py::test_an_index_outside_of_the_table_gives_nan_in_its_row_alone",
    ),
    "predictions of other data are taken": (
        "teachers/prediction_file.py",
        "if made_from.get(name) != expected:",
        "if False:",
        "tests/teachers/test_cache_predictions.py::test_a_table_of_other_data_under_this_ones_name_is_refused",
    ),
    "a tensor of inference mode leaves the teacher": (
        "teachers/frozen.py",
        "torch.float32), copy=True)",
        "torch.float32))",
        "tests/teachers/test_frozen.py::test_what_comes_out_of_inference_mode_is_an_ordinary_tensor",
    ),
    "all views are those of one epoch": (
        "teachers/cache_predictions.py",
        "sampler.set_epoch(view)",
        "sampler.set_epoch(0)",
        "tests/teachers/test_cache_predictions.py"
        "::test_with_views_it_is_the_mean_probability_over_those_of_the_first_epochs",
    ),
    "ADSA copies in every batch": (
        "relabel/fit.py",
        "_batches(samples.to(device), batch_size)]",
        "_batches(samples, batch_size)]",
        "tests/plugins/test_no_host_reads.py::test_what_adsa_copies_does_not_depend_on_the_number_of_batches",
    ),
    "the monitor reads a step": (
        "plugins/dsink/monitor.py",
        "        if step is None:\n            return\n        proxy = step.proxy\n",
        "        if step is None or not float(step.proxy.marginal_error) >= 0:\n            return\n"
        "        proxy = step.proxy\n",
        "tests/plugins/test_no_host_reads.py::test_what_is_noted_of_a_step_and_the_monitors_sums",
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
    "zero sweeps": (
        "transport/sweeps.py",
        "torch.where(is_open & column_lse.isfinite(), log_b - column_lse, 0.0)",
        "torch.zeros_like(b)",
        "tests/transport/test_sweeps.py::test_one_plain_sweep_is_the_textbook_sweep",
    ),
    "no further sweeps": (
        "transport/sweeps.py",
        "y, g = torch.where(is_done, y, next_y), next_g",
        "g = next_g",
        "tests/transport/test_sweeps.py::test_a_sweep_lowers_the_error",
    ),
    "plan of zeros": (
        "transport/sweeps.py",
        "plan=plan * presence[:, None]",
        "plan=plan * 0",
        "tests/transport/test_sweeps.py::test_sweeps_up_to_the_limit",
    ),
    "class marginal flipped": (
        "transport/sweeps.py",
        "b = class_marginal * (",
        "b = class_marginal.flip(0) * (",
        "tests/transport/test_sweeps.py::test_one_plain_sweep_is_the_textbook_sweep",
    ),
    "a kernel absorbed once and for all": (
        "transport/sweeps.py",
        "if stop_early or sweep % ABSORB_EVERY == 0:",
        "if stop_early or sweep == 0:",
        "tests/transport/test_sweeps.py::test_the_loop_without_a_host_test_makes_the_same_sweeps",
    ),
    "class marginal flipped in the scaled form": (
        "transport/sinkhorn.py",
        "marginal * (log_kernel.shape[0] / total), **settings",
        "marginal[::-1] * (log_kernel.shape[0] / total), **settings",
        "tests/transport/test_sinkhorn.py::test_one_row_takes_the_marginal_itself",
    ),
    "columns with too much are right": (
        "transport/exponentiated.py",
        "return max(greatest(share) - 1.0, 1.0 - least(share))",
        "return 1.0 - least(share)",
        "tests/transport/test_scaling.py::test_the_plan_is_the_float64_reference_within_the_tolerance",
    ),
    "columns with too little are right": (
        "transport/exponentiated.py",
        "return max(greatest(share) - 1.0, 1.0 - least(share))",
        "return greatest(share) - 1.0",
        "tests/transport/test_scaling.py::test_the_plan_is_the_float64_reference_within_the_tolerance",
    ),
    "rows of the kernel may underflow": (
        "transport/exponentiated.py",
        "if not least(v) > LEAST_ROW_SUM:",
        "if False:",
        "tests/transport/test_scaling.py::test_rows_of_which_single_weights_underflow_keep_their_digits",
    ),
    "Newton without its right-hand side": (
        "transport/newton.py",
        "scale * lack / u",
        "scale * abs(lack) / u",
        "tests/transport/test_scaling.py::test_few_classes_take_newton_steps_and_many_take_momentum",
    ),
    "momentum that points anywhere": (
        "transport/scaling.py",
        "step *= (age - 1.0) / (age + 2.0)",
        "step *= -(age - 1.0) / (age + 2.0)",
        "tests/transport/test_scaling.py::test_few_classes_take_newton_steps_and_many_take_momentum",
    ),
    "rank takes another rank's rows": (
        "transport/sinkhorn.py",
        "slice(start, start + len(rows))",
        "slice(0, len(rows))",
        "tests/transport/test_ranks.py",
    ),
    "Q not detached": (
        "dsink/proxy_labels.py",
        "labels = proxy_labels.detach().to(log_probs.dtype)",
        "labels = proxy_labels.to(log_probs.dtype)",
        "tests/dsink/test_proxy_labels.py",
    ),
    "student and teacher weights swapped": (
        "dsink/proxy_labels.py",
        "torch.add((1 - student_weight) * noise, student, alpha=student_weight)",
        "torch.add((1 - student_weight) * student, noise, alpha=student_weight)",
        "tests/dsink/test_proxy_labels.py",
    ),
    "loss not averaged": (
        "dsink/proxy_labels.py",
        "return divergence / max(len(logits), 1)",
        "return divergence",
        "tests/dsink/test_proxy_labels.py",
    ),
    "marginal of the wrong teacher": (
        "dsink/labeler.py",
        "part(student, imbalance.exp())",
        "part(student, noise.exp())",
        "tests/plugins/dsink/test_dsink.py::test_twenty_steps_equal_the_hand_written_loop[ReturnsTensor-plain-mixin]",
    ),
    "rows of a broken teacher take part": (
        "dsink/labeler.py",
        "imbalance).masked_fill(is_masked, -torch.inf)",
        "imbalance)",
        "tests/dsink/test_labeler.py",
    ),
    "a broken row has a class mass": (
        "dsink/labeler.py",
        "(rows.to(dtype).masked_fill(is_masked, -torch.inf) for rows in (student, imbalance))",
        "(rows.to(dtype) for rows in (student, imbalance))",
        "tests/dsink/test_labeler.py",
    ),
    "unequal shares weighted alike": (
        "dsink/labeler.py",
        "loss_scale = len(lengths) * num_own / max(num_rows, 1)",
        "loss_scale = 1.0",
        "tests/dsink/test_labeler.py",
    ),
    "ranks stop one by one": (
        "transport/ranks.py",
        "return bool((self._votes > 0).any())",
        "return bool(is_done)",
        "tests/transport/test_ranks.py",
    ),
    "column sums of one rank": (
        "transport/ranks.py",
        "        dist.all_reduce(message, group=self._group)\n",
        "",
        "tests/transport/test_ranks.py",
    ),
    "gathered padding stays": ("_ranks.py", "[block[:length] for", "[block for", "tests/test_ranks.py"),
    "a rank's loss as if its share were even": (
        "objectives/base.py",
        "return loss * scale if len(logits)",
        "return loss if len(logits)",
        "tests/objectives/test_over_ranks.py",
    ),
    "the living lose their leases": (
        "_lease.py",
        "is_expired = time.monotonic() - changed_at > self.expiry",
        "is_expired = True",
        "tests/test_lease.py::test_a_living_holder_is_waited_for",
    ),
    "generators are not restored": (
        "plugins/exact_resume.py",
        '    version, internal, gauss_next = state["python"]\n',
        "    return\n",
        "tests/plugins/test_exact_resume.py",
    ),
    "ranks are not compared": (
        "plugins/rank_agreement.py",
        "if expected != got:",
        "if False:",
        "tests/plugins/test_rank_agreement.py",
    ),
    "teachers are overwritten": (
        "teachers/store.py",
        "            beside.rename(folder)\n",
        "            import os; shutil.rmtree(folder, ignore_errors=True); os.rename(beside, folder)\n",
        "tests/teachers/test_store.py",
    ),
    "outline above zero only": (
        "evaluation/figures/gain_map.py",
        "gain.difference.is_above_zero or gain.difference.is_below_zero",
        "gain.difference.is_above_zero",
        "tests/evaluation/figures/test_gain_map.py::test_outlines_mark_the_intervals_that_leave_out_zero_on_either_side",
    ),
    "a checkpoint is written in place": (
        "apps/train/unfinished.py",
        "write_bytes(path, buffer.getvalue())",
        'open(path, "wb").write(buffer.getvalue())',
        "tests/apps/train/test_unfinished.py",
    ),
    "a resumed epoch begins anew": (
        "data/datamodule.py",
        "            self._train_loader.load_state_dict(self._resume_from)\n",
        "",
        "tests/apps/train/test_fit.py",
    ),
    "ranks take the first rank's generators": (
        "plugins/exact_resume.py",
        "self._state = states[rank]",
        "self._state = states[0]",
        "tests/plugins/test_exact_resume.py",
    ),
    "teacher in train mode": (
        "teachers/frozen.py",
        "if self.module.training:\n            self.module.eval()",
        "self.module.train()",
        "tests/teachers/test_frozen.py",
    ),
    "capture armed outside the step": (
        "plugins/dsink/capture.py",
        "if self._is_armed:\n            self._calls",
        "if True:\n            self._calls",
        "tests/plugins/dsink/test_mixin.py::test_validation_and_calls_between_steps_are_not_seen",
    ),
    "alpha ignored": (
        "plugins/dsink/dsink.py",
        "return alpha * proxy.loss_scale",
        "return proxy.loss_scale",
        "tests/plugins/dsink/test_dsink.py::test_alpha_warms_up_by_epoch",
    ),
    "instance not put back": (
        "plugins/dsink/callback.py",
        "vars(module).pop(name, None)",
        "pass",
        "tests/plugins/dsink/test_callback.py::test_the_instance_is_as_before_after_the_fit_and_after_an_exception[False-None]",
    ),
    "wrong noise rate": (
        "corruption/label_noise.py",
        "1 - matrix[",
        "1.1 - matrix[",
        "tests/corruption/test_label_noise.py",
    ),
    "noise depends on what is left": (
        "corruption/build.py",
        "positions=indices",
        "positions=None",
        "tests/corruption/test_build.py",
    ),
    "index does not follow the sampler": (
        "data/device_loader.py",
        "yield images, self.labels.index_select(0, index), index",
        "yield images, self.labels.index_select(0, index), index.sort().values",
        "tests/data/test_device_loader.py",
    ),
    "ELR remembers by place in the batch": (
        "objectives/elr.py",
        "self._remember(probs.detach(), index)",
        "self._remember(probs.detach(), torch.arange(len(index)))",
        "tests/objectives/test_elr.py",
    ),
    "logit adjustment of the wrong sign": (
        "objectives/logit_adjustment.py",
        "F.cross_entropy(logits + self.tau",
        "F.cross_entropy(logits - self.tau",
        "tests/objectives/test_logit_adjustment.py",
    ),
    "teacher store ignores the data": (
        "teachers/store.py",
        '"data": fingerprint}))',
        '"data": ""}))',
        "tests/teachers/test_store.py",
    ),
    "logit adjustment not centred": (
        "adsa/calibrate.py",
        "wide - strength * centred_log_prior(prior).to(wide)",
        "wide - strength * prior.log().to(wide)",
        "tests/adsa/test_calibrate.py::test_the_mean_logit_stays",
    ),
    "mixed-in class with the sample's own share": (
        "relabel/fit.py",
        "weight=1 - mixing.share",
        "weight=mixing.share",
        "tests/relabel/test_fit.py::test_a_mixed_view_counts_for_both_classes_with_their_shares",
    ),
    "every rank labels every view": (
        "distilled_set/write_soft_labels.py",
        "if view % num_ranks == rank",
        "if True",
        "tests/distilled_set/test_write_soft_labels.py",
    ),
    "statistics of the classes left out": (
        "dataset_distillation/edc.py",
        "(0.5 * whole + 0.5 * each)",
        "whole",
        "tests/dataset_distillation/test_edc.py",
    ),
    "temperature not squared": (
        "dataset_distillation/student_loss.py",
        "* self.temperature**2",
        "* self.temperature",
        "tests/dataset_distillation/test_student_loss.py",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_fits_the_code(name):
    file, text, _, test = BREAKAGES[name]
    assert (ROOT / "lt_callbacks" / file).read_text().count(text) == 1
    path, _, function = test.partition("::")
    assert function.partition("[")[0] in (ROOT / path).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_turns_its_test_red(name, tmp_path):
    file, text, replacement, test = BREAKAGES[name]
    shutil.copytree(ROOT / "lt_callbacks", tmp_path / "lt_callbacks", ignore=shutil.ignore_patterns("__pycache__"))
    broken = tmp_path / "lt_callbacks" / file
    broken.write_text(broken.read_text().replace(text, replacement))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lt_callbacks, pytest\n"
        f"if not lt_callbacks.__file__.startswith({str(tmp_path)!r}): sys.exit(99)\n"
        f"sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', {test!r}]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, env=environment)
    # 1 is pytest's code for failed tests; an import error or an unknown test would be another.
    assert finished.returncode == 1, finished.stdout[-2000:] + finished.stderr[-2000:]
