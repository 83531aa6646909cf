"""The benchmarks behind the documentation's figures: memory, requests, scale, latency."""
