package lane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// newSoloLane makes a lane that holds the only replica of everything, and elects it.
func newSoloLane(t *testing.T, limits lane.Limits) *lane.Lane {
	t.Helper()
	l, err := lane.New(lane.Config{
		Node:      1,
		Directory: lane.Directory{Coordinators: [][]raft.NodeID{{1}}, Banks: []lane.BankPlace{{Bank: "A", Members: []raft.NodeID{1}}, {Bank: "B", Members: []raft.NodeID{1}}}},
		Limits:    limits,
		NewEngine: func(cfg raft.Config) (replica.Engine, error) { return raft.New(cfg) },
		Restore:   func(lane.GroupID) (raft.State, lane.Reader, error) { return raft.State{}, nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for tick := range 40 {
		persist(l, l.Step(start.Add(time.Duration(tick)*50*time.Millisecond), nil), nil)
	}
	return l
}

// persist lets the disk finish everything a step wrote, and shows each write.
func persist(l *lane.Lane, effects lane.Effects, show func(lane.GroupWrite)) {
	for len(effects.Writes)+len(effects.Checkpoints) > 0 {
		var events []lane.Event
		for _, c := range effects.Checkpoints {
			events = append(events, lane.CheckpointWritten{Group: c.Group, Applied: c.Checkpoint.Applied})
		}
		for _, w := range effects.Writes {
			if show != nil {
				show(w)
			}
			events = append(events, lane.Persisted{Group: w.Group, Seq: w.Write.Seq})
		}
		effects = l.Step(start.Add(2*time.Second), events)
	}
}

func TestOneEntryNeverOutgrowsAMessage(t *testing.T) {
	limits := lane.DefaultLimits()
	limits.EntryBytesMax = 64 << 10
	limits.CheckpointBytes = 64 << 20 // its banks have no disk
	l := newSoloLane(t, limits)
	var events []lane.Event
	for i := range 200 { // about 25 KiB each
		big := &transfer.Transfer{ID: transfer.ID{1, byte(i)}, Deadline: start.Add(time.Hour)}
		for leg := range 256 {
			direction := transfer.Debit
			if leg%2 == 1 {
				direction = transfer.Credit
			}
			name := fmt.Sprintf("%s%d", strings.Repeat("x", 60), leg)
			big.Legs = append(big.Legs, transfer.Leg{Bank: "A", Account: transfer.AccountID(name), Direction: direction, AmountMinor: 1, Currency: "EUR"})
		}
		events = append(events, lane.Asked{Request: uint64(i + 1), Until: start.Add(time.Hour), Ask: lane.Submit{Transfer: big}})
	}
	entries, largest := 0, 0
	persist(l, l.Step(start.Add(2*time.Second), events), func(w lane.GroupWrite) {
		for _, e := range w.Write.Entries {
			entries++
			largest = max(largest, len(e.Data))
		}
	})
	if entries < 50 || largest > 2*limits.EntryBytesMax {
		t.Errorf("%d entries, the largest of %d bytes; the bound is about %d", entries, largest, limits.EntryBytesMax)
	}
}
