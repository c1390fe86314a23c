"""Prints the settings table as it belongs into README.md; with `keys` the tables of keys of docs/relays.md."""

import sys

from emailhub.settings.describe import keys_markdown, markdown

if __name__ == "__main__":
    sys.stdout.write((keys_markdown() if sys.argv[1:] == ["keys"] else markdown()) + "\n")
