"""Splice sites: a meta-layer over a base predictor, from its scores and the sequence."""
