"""The server below the app: a request takes a thread when it has arrived in full, and a worker ends with its parent."""
