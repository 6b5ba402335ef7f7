"""The write side: events go in through ``Recorder.record`` and nowhere else."""
