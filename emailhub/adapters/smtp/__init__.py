"""The SMTP relay: hands messages to a server over kept connections and reports a verdict per recipient."""

from emailhub.adapters.smtp.options import SmtpOptions, Timeouts, TlsMode
from emailhub.adapters.smtp.relay import SmtpRelay

__all__ = ("SmtpOptions", "SmtpRelay", "Timeouts", "TlsMode")
