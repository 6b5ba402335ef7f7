"""The trail as a log of leaves: what signer, verifier and the proofs of the API have in common."""
