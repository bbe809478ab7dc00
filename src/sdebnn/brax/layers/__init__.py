"""Deterministic and Bayesian layers as (init, apply) pairs, without depth of their own."""
