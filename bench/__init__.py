"""The measurements behind the README's figures: what the worker holds, what it asks of S3."""
