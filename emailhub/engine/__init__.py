"""The work. Gets its neighbours by constructor and declares what it needs of them in `ports`."""
