"""What the tests stand on: the neighbours emailhub talks to, started for real."""
