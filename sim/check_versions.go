package sim

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// versionJudge: a node never meets what its build can't read, in a message, an entry or a snapshot. Builds of the first level knew no
// holds and didn't number transfers, those of the second had one entry, line or place in a record; the versions of what they read stand here and never change.
type versionJudge struct{ w *world }

// readBy is the newest version of entries, of the records of a state, and of lines and places, that an older build could read, for a group.
func readBy(level directory.Level, g lane.GroupID) (entry, record, order uint64) {
	first := level < directory.LevelHolds
	switch {
	case g == lane.ClusterGroup, lane.BankOf(g) != "":
		if first {
			return 2, 2, 1
		}
		return 3, 3, 1
	default: // a coordinator's
		if first {
			return 1, 1, 0
		}
		return 3, 2, 1
	}
}

// versionOf is the version that bytes begin with: every format has it in its first field.
func versionOf(data []byte) uint64 {
	c := wire.NewCursor(data)
	if c.Next() && c.Number == 1 {
		return c.Uint()
	}
	return 0
}

// onReceive sees what arrives at a node.
func (j *versionJudge) onReceive(h *host, from raft.NodeID, message lane.Message) {
	if h.level == directory.LevelNewest {
		return
	}
	m, isRaft := message.(lane.RaftMessage)
	if isRaft && newerEntries(h.level, m.Group, m.Message.Entries) || h.level < directory.LevelHolds && isOfHolds(message) {
		j.fail(h, "gets from node %d: %s", from, describe(message))
	}
}

// isOfHolds says whether a message is of holds or of lists, which a build of the first level doesn't know.
func isOfHolds(message lane.Message) (newer bool) {
	switch m := message.(type) {
	case lane.BankRequests:
		for i := range m.Requests {
			newer = newer || !m.Requests[i].HoldUntil.IsZero() || m.Requests[i].CapturedMinor != nil
		}
	case lane.Forward:
		switch ask := m.Ask.(type) {
		case lane.Submit:
			newer = ask.Transfer.IsHold()
		case lane.CaptureTransfer, lane.VoidTransfer, lane.ListTransfers, lane.ReadDecisions:
			newer = true
		}
	}
	return newer
}

// onWrite sees what a node writes: a snapshot comes by here, too.
func (j *versionJudge) onWrite(h *host, w *lane.GroupWrite) {
	if h.level == directory.LevelNewest {
		return
	}
	if newerEntries(h.level, w.Group, w.Write.Entries) {
		j.fail(h, "writes %s", describe(w))
	}
	j.onState(h, w.Group, w.Write.Stage)
}

// onState sees what a node keeps of a machine.
func (j *versionJudge) onState(h *host, group lane.GroupID, state []replica.KV) {
	if h.level == directory.LevelNewest {
		return
	}
	_, record, order := readBy(h.level, group)
	for i := range state {
		kv := &state[i]
		if isVersioned(group, kv.Key) && versionOf(kv.Value) > record || isOrdered(group, kv.Key) && versionOf(kv.Value) > order || h.level < directory.LevelLists && isNumbered(group, kv) {
			j.fail(h, "keeps %q of %s", kv.Key, group)
		}
	}
}

func (j *versionJudge) fail(h *host, format string, args ...any) {
	j.w.fail("no node meets what its build can't read", "node %d runs level %d and "+format, append([]any{h.id, h.level}, args...)...)
}

func newerEntries(level directory.Level, g lane.GroupID, entries []raft.Entry) bool {
	most, _, _ := readBy(level, g)
	for i := range entries {
		e := &entries[i]
		if e.Kind == raft.Normal && (versionOf(e.Data) > most || g == lane.ClusterGroup && raises(level, e.Data)) {
			return true
		}
	}
	return false
}

// isNumbered says whether this is the state of a coordinator that numbers transfers: that before had nothing but its hash.
func isNumbered(g lane.GroupID, kv *replica.KV) bool {
	return g != lane.ClusterGroup && lane.BankOf(g) == "" && string(kv.Key) == "h" && len(kv.Value) > 8
}

// raises says whether an entry of the cluster's group brings a level above one.
func raises(level directory.Level, data []byte) bool {
	facts, err := directory.Decode(data)
	return err == nil && slices.ContainsFunc(facts, func(f directory.Fact) bool { return f.Raise > level })
}

// isVersioned says which keys of a state hold a version: the meta record of a bank, the records of a coordinator, the whole directory.
func isVersioned(g lane.GroupID, key []byte) bool {
	switch {
	case g == lane.ClusterGroup:
		return string(key) == "d"
	case lane.BankOf(g) != "":
		return string(key) == "m"
	}
	return strings.HasPrefix(string(key), "u") || strings.HasPrefix(string(key), "r")
}

// isOrdered says which keys of a state hold the version of a line or a place.
func isOrdered(g lane.GroupID, key []byte) bool {
	switch {
	case g == lane.ClusterGroup:
		return false
	case lane.BankOf(g) != "":
		return strings.HasPrefix(string(key), "s")
	}
	return strings.HasPrefix(string(key), "p") || strings.HasPrefix(string(key), "d")
}
