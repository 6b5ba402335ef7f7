// check reads a log with Go's own packages for transparency logs: its checkpoint with sumdb/note, its tiles, its
// proofs with sumdb/tlog. It says how many leaves it has found in the tree, or what is wrong.
//
//	check [-token TOKEN] [-proof FILE] VKEY PLACE
//
// PLACE is the address of a log, or the folder of an unpacked bundle.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of the tiles of C2SP tlog-tiles, whose addresses do not say it

var token = flag.String("token", "", "the bearer token")

func main() {
	proof := flag.String("proof", "", "a .tlog-proof of the log, to be checked, too")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	log := &log{place: flag.Arg(1), tiles: map[string][]byte{}}
	if err := log.check(flag.Arg(0), *proof); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type log struct {
	place    string
	verifier note.Verifier
	tree     tlog.Tree
	reader   tlog.HashReader
	tiles    map[string][]byte // those that were checked
}

func (l *log) isRemote() bool { return strings.HasPrefix(l.place, "http://") }

func (l *log) check(vkey, proof string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	l.verifier = verifier
	checkpoint, err := l.read("checkpoint")
	if err != nil {
		return err
	}
	if l.tree, err = l.open(checkpoint); err != nil {
		return err
	}
	l.reader = tlog.TileHashReader(l.tree, l)
	leaves, err := l.checkLeaves()
	if err != nil {
		return err
	}
	trees, err := l.checkTrees()
	if err != nil {
		return err
	}
	if proof != "" {
		if err := l.checkProof(proof); err != nil {
			return err
		}
	}
	fmt.Printf("%d leaves are in the tree, %d trees are its beginnings, root %x\n", leaves, trees, l.tree.Hash[:])
	return nil
}

// open returns the tree of a checkpoint that our key has signed.
func (l *log) open(checkpoint []byte) (tree tlog.Tree, err error) {
	signed, err := note.Open(checkpoint, note.VerifierList(l.verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != l.verifier.Name() {
		return tree, fmt.Errorf("no checkpoint of %s: %q", l.verifier.Name(), signed.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// checkLeaves proves each entry by the tiles, and checks that proof by the root of the checkpoint.
func (l *log) checkLeaves() (int64, error) {
	entries, err := l.entries()
	if err != nil {
		return 0, err
	}
	if int64(len(entries)) != l.tree.N {
		return 0, fmt.Errorf("%d entries in a tree of %d", len(entries), l.tree.N)
	}
	for n, entry := range entries {
		proof, err := tlog.ProveRecord(l.tree.N, int64(n), l.reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, int64(n), tlog.RecordHash(entry)); err != nil {
			return 0, fmt.Errorf("leaf %d: %w", n, err)
		}
	}
	return l.tree.N, nil
}

// checkTrees checks that older trees are beginnings of this one: by the log's own proofs, if it gives any.
func (l *log) checkTrees() (count int, err error) {
	for old := int64(1); old <= l.tree.N; old += 1 + old/3 {
		root, err := tlog.TreeHash(old, l.reader)
		if err != nil {
			return 0, err
		}
		proof, err := l.treeProof(old)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, l.tree.N, l.tree.Hash, old, root); err != nil {
			return 0, fmt.Errorf("tree of %d: %w", old, err)
		}
		count++
	}
	return count, nil
}

func (l *log) treeProof(old int64) (tlog.TreeProof, error) {
	if !l.isRemote() {
		return tlog.ProveTree(l.tree.N, old, l.reader)
	}
	text, err := l.read(fmt.Sprintf("consistency?old=%d&new=%d", old, l.tree.N))
	if err != nil {
		return nil, err
	}
	hashes, err := parseHashes(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	return tlog.TreeProof(hashes), err
}

// checkProof checks a file of C2SP tlog-proof, whose leaf is the entry of that index.
func (l *log) checkProof(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, checkpoint, _ := bytes.Cut(file, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("no proof: %q", head)
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := l.open(checkpoint)
	if err != nil {
		return err
	}
	entries, err := l.entries()
	if err != nil {
		return err
	}
	return tlog.CheckRecord(tlog.RecordProof(hashes), tree.N, tree.Hash, index, tlog.RecordHash(entries[index]))
}

func parseHashes(lines []string) (hashes []tlog.Hash, err error) {
	for _, line := range lines {
		if line == "" {
			continue
		}
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// entries returns the entries of all leaves: those of a log, or those of the lines of a bundle.
func (l *log) entries() (entries [][]byte, err error) {
	if !l.isRemote() {
		return l.lines()
	}
	for first := int64(0); first < l.tree.N; first += 256 {
		width := l.tree.N - first
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: height, L: 0, N: first / 256, W: int(width)}
		data, err := l.read("tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/0/"))
		if err != nil {
			return nil, err
		}
		for len(data) >= 2 {
			end := 2 + int(binary.BigEndian.Uint16(data))
			entries = append(entries, data[2:end])
			data = data[end:]
		}
	}
	return entries, nil
}

func (l *log) lines() (entries [][]byte, err error) {
	file, err := os.Open(filepath.Join(l.place, "events.jsonl"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct{ Entry json.RawMessage }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, err
		}
		entries = append(entries, event.Entry)
	}
	return entries, lines.Err()
}

func (l *log) read(path string) ([]byte, error) {
	if !l.isRemote() {
		return os.ReadFile(filepath.Join(l.place, path))
	}
	request, err := http.NewRequest("GET", l.place+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+*token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, answer.Status, base64.StdEncoding.EncodeToString(body))
	}
	return body, err
}

// Height, ReadTiles and SaveTiles make a log a tlog.TileReader, which checks each tile by the root of the tree.

func (l *log) Height() int { return height }

func (l *log) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		hashes, isKnown := l.tiles[tile.Path()]
		if !isKnown {
			if hashes, err = l.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1)); err != nil {
				return nil, err
			}
		}
		data = append(data, hashes)
	}
	return data, nil
}

func (l *log) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for place, tile := range tiles {
		l.tiles[tile.Path()] = data[place]
	}
}
