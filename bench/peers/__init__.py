"""Compare the command with its peers: bandersnatch, a bare loop, and `rclone copy` for S3.

    python -m bench.peers

All of them fetch the same files from the same upstream, in turn, and each is a process of its own.
"""
