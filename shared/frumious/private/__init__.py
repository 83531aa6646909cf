"""Private projects: wheels and sdists of a folder or a prefix of a bucket, in place of upstream."""
