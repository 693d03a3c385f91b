package node

import (
	"bytes"
	"context"
	"fmt"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// ScanReplica makes a checkpoint of this node's replica of a group, reads all that is stored of it, and says what it adds up to: as of which entry. It reads
// beside the loop and takes as long as that takes, or until ctx ends. The node must not be stopped before it returns.
func (n *Node) ScanReplica(ctx context.Context, group lane.GroupID) (lane.Scanned, raft.Index, error) {
	err := n.checkpointed(ctx, lane.SaveReplica{Group: group})
	switch {
	case ctx.Err() != nil:
		return lane.Scanned{}, 0, scanEnded(group)
	case err != nil:
		return lane.Scanned{}, 0, err
	}
	view, err := n.store.View(string(group))
	if err != nil {
		return lane.Scanned{}, 0, fmt.Errorf("%w: %w", transfer.ErrInternal, err)
	}
	index := view.Last().Index
	memory := n.Do(ctx, lane.HashReplica{Group: group, Index: index})[0]
	s, err := lane.Scan(group, max(1, n.config.Coordinators), viewReader{ctx, view})
	_ = view.Close() // it was only read
	if memory.Err == nil && memory.Hash.Index == index && memory.Hash.Hash != s.Recorded && s.Fault == "" {
		s.Fault = fmt.Sprintf("after entry %d the replica had state hash %016x in memory, and stored %016x", index, memory.Hash.Hash, s.Recorded)
	}
	switch {
	case ctx.Err() != nil:
		return s, index, scanEnded(group)
	case err != nil:
		return s, index, fmt.Errorf("%w: %w", transfer.ErrInternal, err)
	case !s.Sound():
		n.log.Error("stored state isn't what was recorded", "group", group, "index", index, "recorded", fmt.Sprintf("%016x", s.Recorded), "computed", fmt.Sprintf("%016x", s.Computed), "fault", s.Fault)
	}
	return s, index, nil
}

func scanEnded(group lane.GroupID) error {
	return fmt.Errorf("%w: the scan of %s was ended", transfer.ErrStopping, group)
}

// viewReader reads a view as a state machine reads its store.
type viewReader struct {
	ctx  context.Context
	view *storage.View
}

// Get looks one key up.
func (r viewReader) Get(key []byte) (value []byte, ok bool, err error) { return r.view.Get(key) }

// Scan reads keys in order, until to, or until nobody waits for it any more.
func (r viewReader) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	err := r.view.Scan(from, func(key, value []byte) bool {
		return bytes.Compare(key, to) < 0 && r.ctx.Err() == nil && fn(key, value)
	})
	if err == nil {
		err = r.ctx.Err()
	}
	return err
}
