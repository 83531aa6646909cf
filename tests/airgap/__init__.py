"""A mirror without a network, which bundles alone keep in step."""
