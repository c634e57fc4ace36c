"""Names of the figures that `metrics` computes, for configurations to choose from, and which way is better."""

BINARY_FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "roc_auc",
    "average_precision",
    "ece",
    "nll",
    "prevalence",
)
FILTER_FIGURES = ("kept_50", "kept_80", "kept_90", "rare_discarded")
CLASS_FIGURES = ("accuracy", "macro_f1", "nll", "ece")

HIGHER_IS_BETTER = frozenset(
    {"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "macro_f1", "roc_auc"}
    | {"average_precision", "kept_50", "kept_80", "kept_90"}
)
LOWER_IS_BETTER = frozenset({"nll", "ece", "loss", "rare_discarded"})


def direction(name: str) -> int:
    """1 if higher is better, -1 if lower is, 0 for what is neither or not known here, such as a prevalence."""
    return (name in HIGHER_IS_BETTER) - (name in LOWER_IS_BETTER)
