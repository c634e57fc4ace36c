"""Names of the figures that `metrics` computes, for configurations to choose from; imports nothing."""

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
CLASS_FIGURES = ("accuracy", "macro_f1", "nll", "ece")
