"""Events: each kind described once, in a module of its own, and what the current request says of one."""
