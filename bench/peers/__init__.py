"""What else carries mail from a service to an SMTP server, set up as well as its manual says."""
