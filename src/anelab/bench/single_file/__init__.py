"""A benchmark of one model file, of no workload and no registry."""
