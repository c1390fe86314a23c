"""emailhub: e-mail in over HTTP and RabbitMQ, durable in SQLite, out over SMTP."""

__version__ = "0.1.0"
