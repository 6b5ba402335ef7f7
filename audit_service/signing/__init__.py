"""The signer: makes leaves of committed events, signs checkpoints, and remembers them outside the database."""
