"""The mirror in an OpenStack Swift container."""
