"""Drawings of results; nothing else imports matplotlib."""
