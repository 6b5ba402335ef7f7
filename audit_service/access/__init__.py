"""Who is asking and what they may see: accounts, passwords, tokens, throttle."""
