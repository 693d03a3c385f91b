package sim

import (
	"strings"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// versionJudge: a node never meets what its build can't read, in a message, an entry or a snapshot. The build before the newest knew no
// holds and didn't number transfers; the versions of what it read stand here and never change.
type versionJudge struct{ w *world }

// readBefore is the newest version of entries, and of the records of a state, that the build before could read, for a group.
func readBefore(g lane.GroupID) (entry, record uint64) {
	switch {
	case g == lane.ClusterGroup, lane.BankOf(g) != "":
		return 2, 2
	default: // a coordinator's
		return 1, 1
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
	if h.level >= directory.LevelHolds {
		return
	}
	newer := false
	switch m := message.(type) {
	case lane.RaftMessage:
		newer = newerEntries(m.Group, m.Message.Entries)
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
	if newer {
		j.fail(h, "gets from node %d: %s", from, describe(message))
	}
}

// onWrite sees what a node writes: a snapshot comes by here, too.
func (j *versionJudge) onWrite(h *host, w *lane.GroupWrite) {
	if h.level >= directory.LevelHolds {
		return
	}
	if newerEntries(w.Group, w.Write.Entries) {
		j.fail(h, "writes %s", describe(w))
	}
	j.onState(h, w.Group, w.Write.Stage)
}

// onState sees what a node keeps of a machine.
func (j *versionJudge) onState(h *host, group lane.GroupID, state []replica.KV) {
	if h.level >= directory.LevelHolds {
		return
	}
	_, most := readBefore(group)
	for i := range state {
		if kv := &state[i]; isVersioned(group, kv.Key) && versionOf(kv.Value) > most || isNumbered(group, kv) {
			j.fail(h, "keeps %q of %s", kv.Key, group)
		}
	}
}

func (j *versionJudge) fail(h *host, format string, args ...any) {
	j.w.fail("no node meets what its build can't read", "node %d runs level %d and "+format, append([]any{h.id, h.level}, args...)...)
}

func newerEntries(g lane.GroupID, entries []raft.Entry) bool {
	most, _ := readBefore(g)
	for i := range entries {
		if e := &entries[i]; e.Kind == raft.Normal && versionOf(e.Data) > most {
			return true
		}
	}
	return false
}

// isNumbered says whether this is the state of a coordinator that numbers transfers: that before had nothing but its hash.
func isNumbered(g lane.GroupID, kv *replica.KV) bool {
	return g != lane.ClusterGroup && lane.BankOf(g) == "" && string(kv.Key) == "h" && len(kv.Value) > 8
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
