"""Races: two real connections at once, one winner."""
