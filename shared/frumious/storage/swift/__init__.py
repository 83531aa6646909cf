"""The mirror in a container of OpenStack Swift."""
