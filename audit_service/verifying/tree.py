"""The tree over all blocks, once of the events as they are and once of the stored leaves, and what checkpoints say."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from audit_service.proofs.merkle import EMPTY_ROOT, Frontier, edge_root, grown_root, root
from audit_service.proofs.tile_path import WIDTH
from audit_service.verifying.block_tree import LENGTH, compare_tile
from audit_service.verifying.blocks import Result
from audit_service.verifying.checkpoints import STORED, Known
from audit_service.verifying.findings import Code, Finding, Weight
from audit_service.verifying.leaves import Mismatch
from audit_service.verifying.source import Part, Source

MOST_SUSPECTS = 1000  # of which more is kept than their seq
_MADE, _STORED = 0, 1  # which of the two trees
Pair = tuple[bytes, bytes]  # a hash of each


class Fold:
    """Puts blocks together in their order. Where a checkpoint has the root of one of the trees, that one is right."""

    def __init__(self, part: Part, known: Sequence[Known], size: int, find: Callable[[Finding], None]) -> None:
        """Begin before the first event of *part*, of a tree of *size*. What is wrong is given to *find*."""
        self._find = find
        before = part.first - 1
        whole = before // LENGTH  # blocks, each of which is a leaf here
        self._trees = [Frontier(whole, part.left[: whole.bit_count()]) for _ in (_MADE, _STORED)]
        self._part, self._size = part, size
        self._left = part.left[whole.bit_count() :]
        self._known: dict[int, list[Known]] = {size: []}
        for each in known:
            self._known.setdefault(each.checkpoint.size, []).append(each)
        self._levels: dict[int, list[Pair]] = {2: []}  # hashes whose tile is not full yet
        self._next: dict[int, int] = {2: whole}  # the hash that comes next on a level
        self._suspects: list[Mismatch] = []
        self._more_suspects = array("q")  # the seq of those for which there is no room: it may be every event
        self._explained = array("q")  # events that something was found about
        self._against: list[Known] = []  # checkpoints that have another root, and which no later one contradicts yet
        self.agreed: list[Known] = []
        self.strangers: list[tuple[Known, bool]] = []  # signed by unknown keys, and whether the root is the same
        self.roots: Pair = (EMPTY_ROOT, EMPTY_ROOT)  # of the whole tree
        if before == 0:
            self._compare(0, self._roots([(), ()]))

    @property
    def proven(self) -> int:
        """How many events a checkpoint proves, so far."""
        return self.agreed[-1].checkpoint.size if self.agreed else 0

    def wanted(self, first: int, last: int) -> tuple[list[int], Sequence[bytes]]:
        """Return the sizes at which a block has to tell its edge, and the subtrees before it within its length."""
        sizes = sorted(size for size in self._known if first <= size <= last)
        left, self._left = self._left, ()
        return sizes, left

    def add(self, result: Result, source: Source) -> None:
        """Add the next block."""
        room = MOST_SUSPECTS - len(self._suspects)
        self._suspects += result.mismatches[:room]
        self._more_suspects.extend(each.seq for each in result.mismatches[room:])
        found = [each.seq for each in result.findings if each.weight is Weight.TAMPERED and each.seq]
        self._explained.extend(map(int, found))  # in SQLite a number may have a fraction
        edges = self._edges(result)
        last = result.task.last
        if last % LENGTH == 0:
            for tree, edge in zip(self._trees, edges, strict=True):
                tree.append(edge[0])
            if source.has_tiles:
                self._carry(2, (edges[_MADE][0], edges[_STORED][0]), source)
            edges = [(), ()]
        if last == self._part.last < self._size:
            whole = [[*tree.hashes, *edge] for tree, edge in zip(self._trees, edges, strict=True)]
            self._compare(self._size, [grown_root(each, last, self._part.right, self._size) for each in whole])

    def end(self, source: Source) -> None:
        """Judge what no checkpoint has decided, and compare the tiles that are not full."""
        for level, hashes in self._levels.items():
            self._compare_tile(level, hashes, source)
        self._judge(None, None)
        stored = [each for each in self._against if each.where == STORED]
        self._forks(each for each in self._against if each.where != STORED)
        if stored:
            first, last = self.proven + 1, stored[0].checkpoint.size
            if not any(first <= seq <= last for seq in self._explained):
                words = f"the events {first} to {last} are not those that the checkpoint of {last} was signed for"
                self._find(Finding(Code.ROOT_CHANGED, words, first, last))

    def _edges(self, result: Result) -> Sequence[Sequence[bytes]]:
        """Compare the roots at checkpoints within the block; return the edges at its end."""
        task = result.task
        if result.made is None or result.stored is None:
            for size in task.sizes:  # its edges have its end, too
                self._compare(size, self._roots([result.edges[size]] * 2))
            return [result.edge] * 2
        inner = [Frontier((task.first - 1) % LENGTH, task.left) for _ in (_MADE, _STORED)]
        sizes = set(task.sizes)
        for size, pair in enumerate(zip(result.made, result.stored, strict=True), start=task.first):
            for tree, hash_ in zip(inner, pair, strict=True):
                tree.append(hash_)
            if size in sizes:
                right = self._compare(size, self._roots([tree.hashes for tree in inner]))
                if right is not None:
                    inner[1 - right] = Frontier(inner[right].size, inner[right].hashes)
        return [tree.hashes for tree in inner]

    def _roots(self, edges: Sequence[Sequence[bytes]]) -> list[bytes]:
        """Return the roots of both trees with these edges after their blocks."""
        return [edge_root([*tree.hashes, *edge]) for tree, edge in zip(self._trees, edges, strict=True)]

    def _compare(self, size: int, roots: Sequence[bytes]) -> int | None:
        """Compare the roots at a size with checkpoints; return which of the trees one of them says is right."""
        self.roots = roots[_MADE], roots[_STORED]
        known = self._known.get(size, [])
        self.strangers += [(each, each.checkpoint.root in roots) for each in known if not each.is_trusted]
        trusted = [each for each in known if each.is_trusted]
        agreeing = [each for each in trusted if each.checkpoint.root in roots]
        self._against += [each for each in trusted if each.checkpoint.root not in roots]
        if not agreeing:
            return None
        right = roots.index(agreeing[0].checkpoint.root)
        self._judge(right, size)
        self._forks(self._against)
        self._against = []
        self.agreed += agreeing
        other = 1 - right
        self._trees[other] = Frontier(self._trees[right].size, self._trees[right].hashes)
        return right

    def _judge(self, right: int | None, size: int | None) -> None:
        """Say of each event up to *size* whose leaf is not the stored one which of the two was changed."""
        judged = [each for each in self._suspects if size is None or each.seq <= size]
        self._suspects = self._suspects[len(judged) :]
        for each in judged:
            if right == _MADE:
                words = (
                    f"the stored leaf of the event {each.seq} is not that of its row, which is the one that was signed"
                )
                self._find(Finding(Code.TILE_CHANGED, words, seq=each.seq, table="trail_leaves"))
            else:
                self._find(Finding(Code.ROW_CHANGED, each.words, seq=each.seq, table=each.table, column=each.column))
            self._explained.append(each.seq)
        count = len(self._more_suspects) if size is None else bisect_right(self._more_suspects, size)
        more, self._more_suspects = self._more_suspects[:count], self._more_suspects[count:]
        for seq in more:
            code = Code.TILE_CHANGED if right == _MADE else Code.ROW_CHANGED
            self._find(Finding(code, f"the event {seq} is not the one that its leaf tells of", seq=seq))
        self._explained.extend(more)

    def _forks(self, checkpoints: Iterable[Known]) -> None:
        for each in checkpoints:
            size = each.checkpoint.size
            words = f"the checkpoint of {size} that {each.where} has was signed for another history than this one"
            self._find(Finding(Code.FORK, words, 1, size))

    def _carry(self, level: int, pair: Pair, source: Source) -> None:
        """Add a hash to a level; compare a tile when it is full."""
        hashes = self._levels.setdefault(level, [])
        hashes.append(pair)
        self._next[level] = self._next.get(level, 0) + 1
        if self._next[level] % WIDTH:
            return
        self._compare_tile(level, hashes, source)
        if len(hashes) == WIDTH:
            made, stored = (root(each) for each in zip(*hashes, strict=True))
            self._carry(level + 1, (made, stored), source)
        self._levels[level] = []

    def _compare_tile(self, level: int, hashes: Sequence[Pair], source: Source) -> None:
        if hashes:
            first = self._next[level] - len(hashes)
            for each in compare_tile(level, first, hashes, source.tile(level, first // WIDTH)):
                self._find(each)
