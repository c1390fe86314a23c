"""How fast emailhub is on this machine: `make bench`, or `python -m bench --help`."""
