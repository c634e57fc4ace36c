"""One training loop for every workload, and the search around it."""
