"""The mirror in an S3 bucket."""
