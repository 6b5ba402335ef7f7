"""What a bundle is called and made of: the history as one file, which can be verified without this program."""

FORMAT = "audit-service-bundle/1"
README = "README.txt"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints/"  # then the log's id and the size
STAMPS = "stamps/"  # then the log's id, the size and .tsr
TILES = "tile/"  # then what C2SP tlog-tiles has
ERASURES = "erasures.jsonl"
EVENTS = "events.jsonl"
LONGEST_LINE = 1 << 20  # bytes
