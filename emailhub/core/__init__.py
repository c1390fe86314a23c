"""The rules of mail: pure values and functions. No I/O, no clock, no randomness, no await."""
