"""What the recorder of one process has done since it started."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Events by what became of them, and the batches they were stored in."""

    recorded: int = 0
    spooled: int = 0
    replayed: int = 0
    refused: int = 0
    excluded: int = 0
    batches: int = 0
    largest_batch: int = 0

    def count_batch(self, size: int) -> None:
        """Count a batch of *size* events that is in the trail."""
        self.recorded += size
        self.batches += 1
        self.largest_batch = max(self.largest_batch, size)
