"""The tests: the same tree as the product, and races, protocol, journeys, chaos."""
