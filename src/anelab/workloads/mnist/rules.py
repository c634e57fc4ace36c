from anelab.learning.nearest import nearest_mean_rules as rules  # noqa: F401  # the classical answers
