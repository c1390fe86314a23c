"""The outside, one neighbour each. Adapters import core and one library, and do not know each other."""
