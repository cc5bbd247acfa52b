"""Breakages of what a training stands on: data, objectives, teachers and plug-ins. See test_sabotage.py."""

BREAKAGES = {
    "gathered padding stays": ("_ranks.py", "[block[:length] for", "[block for", "tests/test_ranks.py"),
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
    "a resumed epoch begins anew": (
        "data/datamodule.py",
        "            self._train_loader.load_state_dict(self._resume_from)\n",
        "",
        "tests/apps/train/test_fit.py",
    ),
    "index does not follow the sampler": (
        "data/device_loader.py",
        "yield images, self.labels.index_select(0, index), index",
        "yield images, self.labels.index_select(0, index), index.sort().values",
        "tests/data/test_device_loader.py",
    ),
    "a rank's loss as if its share were even": (
        "objectives/base.py",
        "return len(shares) * _sum(losses, counting) / torch.where(total > 0, total, 1.0)",
        "return _mean(losses, counting)",
        "tests/objectives/test_over_ranks.py",
    ),
    "ELR remembers by place in the batch": (
        "objectives/elr.py",
        "self._remember(probs.detach(), index)",
        "self._remember(probs.detach(), torch.arange(len(index)))",
        "tests/objectives/test_elr.py",
    ),
    "logit adjustment of the wrong sign": (
        "objectives/logit_adjustment.py",
        "self.cross_entropy(logits + self.tau",
        "self.cross_entropy(logits - self.tau",
        "tests/objectives/test_logit_adjustment.py",
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
    "teachers are overwritten": (
        "teachers/store.py",
        "            beside.rename(folder)\n",
        "            import os; shutil.rmtree(folder, ignore_errors=True); os.rename(beside, folder)\n",
        "tests/teachers/test_store_jobs.py",
    ),
    "a field is not in the key": (
        "teachers/description.py",
        'if value is not None and name != "data"}',
        'if value is not None and name not in ("data", "width")}',
        "tests/teachers/test_description.py::test_every_field_is_a_part_of_the_key",
    ),
    "all networks start from one seed": (
        "teachers/train_network.py",
        "with isolated_seed(description.start_seed):",
        "with isolated_seed(0):",
        "tests/teachers/test_train_network.py::test_making_and_training_draw_from_one_seed_and_leave_no_trace",
    ),
    "weights stay in the trainer's precision": (
        "teachers/train_network.py",
        "tensor.data = tensor.data.to(dtypes.get(name, tensor.dtype))",
        "pass",
        "tests/teachers/test_train_network.py::test_weights_come_back_in_the_dtypes_that_they_were_made_with",
    ),
    "teacher in train mode": (
        "teachers/frozen.py",
        "if self.module.training:\n            self.module.eval()",
        "self.module.train()",
        "tests/teachers/test_frozen.py",
    ),
    "teacher store ignores the data": (
        "teachers/store.py",
        '"data": fingerprint}))',
        '"data": ""}))',
        "tests/teachers/test_store.py",
    ),
    "the monitor reads a step": (
        "plugins/dsink/monitor.py",
        "        if step is None:\n            return\n        proxy = step.proxy\n",
        "        if step is None or not float(step.proxy.marginal_error) >= 0:\n            return\n"
        "        proxy = step.proxy\n",
        "tests/plugins/test_no_host_reads.py::test_what_is_noted_of_a_step_and_the_monitors_sums",
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
    "ranks take the first rank's generators": (
        "plugins/exact_resume.py",
        "states[rank].items() if name",
        "states[0].items() if name",
        "tests/plugins/test_exact_resume.py",
    ),
    "capture armed outside the step": (
        "plugins/dsink/capture.py",
        "if self._is_armed:\n            self._calls",
        "if True:\n            self._calls",
        "tests/plugins/dsink/test_mixin.py::test_validation_and_calls_between_steps_are_not_seen",
    ),
    "alpha ignored": (
        "dsink/step.py",
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
}
