"""mirror.conf and the environment become one typed, validated Config."""
