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
        "b = marginal * (num_rows / total)",
        "b = marginal[::-1] * (num_rows / total)",
        "tests/transport/test_sinkhorn.py::test_one_row_takes_the_marginal_itself",
    ),
    "columns of the kernel may underflow": (
        "transport/exponentiated.py",
        "if float(np.minimum.reduce(t)) > LEAST_COLUMN_SUM:",
        "if True:",
        "tests/transport/test_scaling.py::test_a_class_whose_every_weight_underflows_gets_its_mass",
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
        "student_weight * student + (1 - student_weight) * noise",
        "(1 - student_weight) * student + student_weight * noise",
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
        "probs = imbalance.exp()",
        "probs = noise.exp()",
        "tests/plugins/test_dsink.py::test_twenty_steps_equal_the_hand_written_loop[ReturnsTensor-plain-mixin]",
    ),
    "unequal shares weighted alike": (
        "dsink/labeler.py",
        "loss_scale = len(lengths) * len(rows) / max(num_rows, 1)",
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
        "evaluation/gain_map.py",
        "gain.difference.is_above_zero or gain.difference.is_below_zero",
        "gain.difference.is_above_zero",
        "tests/evaluation/test_gain_map.py::test_outlines_mark_the_intervals_that_leave_out_zero_on_either_side",
    ),
    "a checkpoint is written in place": (
        "apps/unfinished.py",
        "write_bytes(path, buffer.getvalue())",
        'open(path, "wb").write(buffer.getvalue())',
        "tests/apps/test_unfinished.py",
    ),
    "a resumed epoch begins anew": (
        "data/datamodule.py",
        "            self._train_loader.load_state_dict(self._resume_from)\n",
        "",
        "tests/apps/test_training.py",
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
        "plugins/capture.py",
        "if self._is_armed:\n            self._calls",
        "if True:\n            self._calls",
        "tests/plugins/test_mixin.py::test_validation_and_calls_between_steps_are_not_seen",
    ),
    "alpha ignored": (
        "plugins/dsink.py",
        "return alpha * proxy.loss_scale",
        "return proxy.loss_scale",
        "tests/plugins/test_dsink.py::test_alpha_warms_up_by_epoch",
    ),
    "instance not put back": (
        "plugins/callback.py",
        "vars(module).pop(name, None)",
        "pass",
        "tests/plugins/test_callback.py::test_the_instance_is_as_before_after_the_fit_and_after_an_exception[False-None]",
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
        "plugins/adsa_fit.py",
        "weight=1 - mixing.share",
        "weight=mixing.share",
        "tests/plugins/test_adsa_fit.py::test_a_mixed_view_counts_for_both_classes_with_their_shares",
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
