"""Adapters: they tell the trail what other login libraries do, through the hooks that these have."""
