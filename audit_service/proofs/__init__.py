"""Provable history: Merkle trees, signed notes, checkpoints, proofs and the canonical form of events. No I/O."""
