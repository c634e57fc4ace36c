"""Inference over HTTP for any model: the Open Inference Protocol on the one way to a model, `anelab.inference`."""
