"""Adapters: they tell the trail what other libraries do, through the hooks that these have."""
