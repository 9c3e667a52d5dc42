"""Intervals, tests and estimates for shares of runs, in standard-library arithmetic.

Pure functions of counts: they know nothing of runs, stores or pipelines. Bad numbers raise
`ValueError`; `PolicyError`, which is one, where the data do not allow what is asked.
"""

from ._attribution import first_failing, fix_one, log_shares, shapley_shares
from ._judged import rogan_gladen, stratified_rate
from ._means import outcome_mean
from ._paired import (
    log_sign_evidence,
    mcnemar_exact,
    mcnemar_midp,
    newcombe_paired,
    newcombe_unpaired,
    pairs_needed,
    runs_needed,
)
from ._planned import (
    finite_sequence,
    fixed_streak_needed,
    fixed_test,
    fixed_test_power,
    streak_needed,
)
from ._ratios import fieller, rate_ratio
from ._sequential import (
    confidence_sequence,
    log_evidence,
    log_evidence_above,
    log_evidence_below,
)
from ._shares import clopper_pearson, jeffreys, runs_for_half_width, wilson
from ._special import normal_quantile, t_quantile
from ._trials import (
    Trials,
    cluster_standard_error,
    cluster_variance,
    clustered_wilson,
    effective_n,
    pass_at_k,
    pass_hat_k,
)
from ._voting import first_to_ahead, votes_needed

__all__ = [
    "Trials",
    "clopper_pearson",
    "cluster_standard_error",
    "cluster_variance",
    "clustered_wilson",
    "confidence_sequence",
    "effective_n",
    "fieller",
    "finite_sequence",
    "first_failing",
    "first_to_ahead",
    "fix_one",
    "fixed_streak_needed",
    "fixed_test",
    "fixed_test_power",
    "jeffreys",
    "log_evidence",
    "log_evidence_above",
    "log_evidence_below",
    "log_shares",
    "log_sign_evidence",
    "mcnemar_exact",
    "mcnemar_midp",
    "newcombe_paired",
    "newcombe_unpaired",
    "normal_quantile",
    "outcome_mean",
    "pairs_needed",
    "pass_at_k",
    "pass_hat_k",
    "rate_ratio",
    "rogan_gladen",
    "runs_for_half_width",
    "runs_needed",
    "shapley_shares",
    "stratified_rate",
    "streak_needed",
    "t_quantile",
    "votes_needed",
    "wilson",
]
