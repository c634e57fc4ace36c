"""Reads in, verdicts out: `anelab score`. Neither torch nor MLflow is needed for a model of a folder or of an SQLite
store."""
