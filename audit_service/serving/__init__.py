"""The server below the app: a request takes a thread when it is all here, and a worker ends with its parent."""
