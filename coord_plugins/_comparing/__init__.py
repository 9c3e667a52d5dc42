"""Two sets of runs: which are paired with which, how they differ, and what the difference costs."""
