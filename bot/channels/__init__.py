"""One way to reach a person a file, all with the contract of base.py."""
