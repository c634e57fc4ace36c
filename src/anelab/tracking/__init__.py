"""MLflow: where the store is, what a run records, the registry. Nothing else imports MLflow."""
