"""Deterministic and Bayesian layers as modules, without depth of their own."""
