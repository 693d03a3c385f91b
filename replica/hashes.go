package replica

import "github.com/quorate/quorate/raft"

// hashesMax is how many of its latest entries a replica remembers the machine's hash of. Members are asked for one index within a few network
// round trips of each other, and none applies that many entries meanwhile.
const hashesMax = 4096

// hashes is the machine's hash as of each of the latest applied entries.
type hashes struct {
	last raft.Index
	kept []uint64 // of the entries up to last; at most twice hashesMax
}

func newHashes(applied raft.Index, hash uint64) hashes {
	return hashes{last: applied, kept: []uint64{hash}}
}

func (h *hashes) add(index raft.Index, hash uint64) {
	if len(h.kept) == 2*hashesMax {
		h.kept = h.kept[:copy(h.kept, h.kept[hashesMax:])]
	}
	h.last, h.kept = index, append(h.kept, hash)
}

func (h *hashes) at(index raft.Index) (hash uint64, known bool) {
	if index > h.last || h.last-index >= raft.Index(len(h.kept)) {
		return 0, false
	}
	return h.kept[len(h.kept)-1-int(h.last-index)], true
}

// HashAt is what the machine's state came to after the entry at index. It is forgotten after a few thousand more, and
// unknown of entries that a snapshot or the checkpoint at the start has spared the replica.
func (r *Replica) HashAt(index raft.Index) (hash uint64, known bool) { return r.hashes.at(index) }
