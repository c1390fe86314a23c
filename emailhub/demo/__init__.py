"""`emailhub demo`: a whole hub with made-up mail and relays that nobody is behind. Nothing ever leaves it."""
