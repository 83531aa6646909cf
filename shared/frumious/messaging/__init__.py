"""Queues and events between the functions: SQS and EventBridge."""
