"""Breakages of what distils a data set and labels it: distilled sets, their makers, relabelling, tau. See test_sabotage.py."""

BREAKAGES = {
    "labels are looked at under the target prior": (
        "relabel/calibration.py",
        "calibrate(plain, task.class_prior, label_fit.tau)",
        "calibrate(plain, task.class_prior, label_fit.tau, target_prior=task.settings.target_prior)",
        "tests/relabel/test_calibration.py::test_a_target_prior_changes_no_alarm",
    ),
    "tau is fitted under the target prior": (
        "relabel/task.py",
        "return TauEstimator(self.class_prior, shrink_to",
        "prior = self.settings.target_prior\n"
        "        return TauEstimator(self.class_prior if prior is None else prior, shrink_to",
        "tests/relabel/test_calibration.py::test_a_target_prior_changes_no_alarm",
    ),
    "unmixed views count as images of their own": (
        "relabel/fit.py",
        'is_mixed = fit_on in ("mixed", "strong") and views.mix != "none"',
        'is_mixed = fit_on in ("mixed", "strong")',
        "tests/relabel/test_fit.py::test_the_unmixed_views_of_an_image_are_one_observation",
    ),
    "a class of which just enough is recognised is lost": (
        "relabel/alarms.py",
        "(quality.recognised < least)",
        "(quality.recognised <= least)",
        "tests/relabel/test_alarms.py::test_classes_that_the_model_does_not_recognise_are_named",
    ),
    "five lost classes and no more": (
        "relabel/alarms.py",
        'more" if len(lost) > 5',
        'more" if len(lost) >= 5',
        "tests/relabel/test_alarms.py::test_classes_that_the_model_does_not_recognise_are_named",
    ),
    "labels for a target prior in other units are others": (
        "relabel/result.py",
        "(target / target.sum()).tolist()",
        "target.tolist()",
        "tests/relabel/test_result.py::test_labels_are_those_of_a_tau_a_prior_and_what_made_the_logits",
    ),
    "a label one too high has a class": (
        "relabel/prior.py",
        "if labels.max() >= distilled.num_classes:",
        "if labels.max() > distilled.num_classes:",
        "tests/relabel/test_prior.py::test_a_datamodule_that_does_not_fit_is_refused",
    ),
    "labels behind a link are deleted": (
        "relabel/folder.py",
        "if labels.is_dir() and not labels.is_symlink():",
        "if labels.is_dir():",
        "tests/relabel/test_folder.py::test_replacing_touches_nothing_of_the_users",
    ),
    "257 classes in 8 bits": (
        "distilled_set/compact_labels.py",
        "np.uint8 if num_classes <= 1 << 8",
        "np.uint8 if num_classes <= (1 << 8) + 1",
        "tests/distilled_set/test_compact_labels.py::test_parts_have_the_documented_dtypes_and_sizes",
    ),
    "a shard may go on after its end": (
        "distilled_set/label_shard.py",
        "if size != end:",
        "if size < end:",
        "tests/distilled_set/test_label_shard.py::test_every_truncation_is_refused_by_name",
    ),
    "views are cropped like the training's images": (
        "distilled_set/view_decisions.py",
        'stream_key(f"distilled {purpose}"',
        'stream_key(f"{purpose}"',
        "tests/distilled_set/test_view_decisions.py::test_boxes_equal_plain_arithmetic_sample_by_sample",
    ),
    "labels in the precision of whoever asks": (
        "distilled_set/live_labels.py",
        "with in_eval_mode(self.model), torch.autocast(images.device.type, enabled=False):",
        "with in_eval_mode(self.model):",
        "tests/distilled_set/test_live_labels.py::test_autocast_of_the_caller_does_not_change_labels",
    ),
    "a view that nobody reads must be there": (
        "dataset_distillation/view_loader.py",
        "if view < num_passes]",
        "if view <= num_passes]",
        "tests/dataset_distillation/test_view_loader.py::test_views_that_are_not_labelled_yet_are_refused_where_they_are_needed",
    ),
    "all groups of images see the same crops": (
        "dataset_distillation/edc.py",
        "seed=seed * num_groups + group",
        "seed=seed",
        "tests/dataset_distillation/test_edc.py::test_images_of_one_group_do_not_know_those_of_another",
    ),
    "the second image of a seed starts as the first of the next": (
        "dataset_distillation/sre2l.py",
        "seed * images_per_class + place",
        "seed + place",
        "tests/dataset_distillation/test_sre2l.py::test_images_of_other_seeds_start_elsewhere",
    ),
    "images are shifted to one side less": (
        "dataset_distillation/recover.py",
        "(2 * settings.jitter + 1)",
        "(2 * settings.jitter)",
        "tests/dataset_distillation/test_recover.py::test_a_shift_rolls_the_whole_batch_and_reaches_both_ends",
    ),
    "crops are squares": (
        "dataset_distillation/recover.py",
        "height * math.sqrt(share / ratio)",
        "height * math.sqrt(share * ratio)",
        "tests/dataset_distillation/test_recover.py::test_a_crop_shows_the_same_part_of_the_whole_batch_resized",
    ),
    "hooks stay in the network": (
        "dataset_distillation/channel_statistics.py",
        "            handle.remove()\n",
        "            pass\n",
        "tests/dataset_distillation/test_channel_statistics.py::test_hooks_are_gone_afterwards_and_after_an_error",
    ),
    "statistics of the layers are no average's": (
        "dataset_distillation/student.py",
        "use_buffers=True",
        "use_buffers=False",
        "tests/dataset_distillation/test_student.py::test_the_average_equals_one_by_hand_statistics_included",
    ),
    "the labels as they are lie outside of the nodes": (
        "adsa/tau_problem.py",
        "min(float(self.lowest), 0.0), max(float(self.highest), 0.0)",
        "float(self.lowest), float(self.highest)",
        "tests/adsa/test_tau_problem_settings.py::test_curves_are_known_at_zero_too",
    ),
    "just enough images are too few for an interval": (
        "adsa/tau_problem.py",
        "fewest >= MIN_IMAGES",
        "fewest > MIN_IMAGES",
        "tests/adsa/test_tau_problem.py::test_one_class_with_fewer_images_makes_it_an_interval_from_classes",
    ),
    "images are compared with those of the last updates": (
        "adsa/estimator.py",
        "for run in self._runs:",
        "for run in self._runs[-1:]:",
        "tests/adsa/test_estimator_seen_indices.py::test_equals_a_set",
    ),
    "an image of no weight is one": (
        "adsa/class_moments.py",
        "(w > 0).to(w)",
        "torch.ones_like(w)",
        "tests/adsa/test_class_moments.py::test_sums_are_those_of_a_plain_loop",
    ),
}
