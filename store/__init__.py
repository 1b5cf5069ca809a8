"""The record: every table, and the acts that keep its promises (design.md §6)."""
