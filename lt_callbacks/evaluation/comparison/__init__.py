"""Results of many runs brought together: which settings differ, means and paired differences, gains, times."""
