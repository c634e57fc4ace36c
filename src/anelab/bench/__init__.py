"""Benchmarks: arms, short-lived workers, paired statistics, host, placement, energy, bundles."""
