"""Measurements that a person re-runs: each stands beside a peer or the physical floor."""
