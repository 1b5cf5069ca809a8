"""The gate: rules, verdicts, asking, fencing and the recount."""
