"""The witness: cosigns checkpoints of others' logs, of each only such as go on from the last one it has cosigned."""
