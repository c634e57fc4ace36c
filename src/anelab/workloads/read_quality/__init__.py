"""FASTQ reads to PASS or FAIL with a small network, beside the mean-quality filter it has to beat."""
