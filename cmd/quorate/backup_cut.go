package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// nodeAdmin answers an operator's requests.
type nodeAdmin struct{ node *node.Node }

// HoldCommits has a bank keep its commits for a while.
func (a *nodeAdmin) HoldCommits(ctx context.Context, bank transfer.BankID, hold uint64, d time.Duration) error {
	return a.node.HoldCommits(ctx, bank, hold, d)
}

// Cut is a group's state as of one moment.
func (a *nodeAdmin) Cut(ctx context.Context, group string, hold uint64) (api.Cut, error) {
	view, err := a.node.Cut(ctx, lane.GroupID(group), hold)
	if err != nil {
		return nil, err
	}
	return &cut{view: view, chunks: replica.NewOutgoing(membersApart{view})}, nil
}

// membersApart leaves out who held the group: a restored one is held by others.
type membersApart struct{ *storage.View }

// Membership is left out.
func (membersApart) Membership() []byte { return nil }

// cut reads a view chunk by chunk.
type cut struct {
	view   *storage.View
	chunks *replica.Outgoing
	offset uint64
}

// At is the last log entry that the cut contains.
func (c *cut) At() (index, term uint64) {
	last := c.view.Last()
	return uint64(last.Index), uint64(last.Term)
}

// cutChunkBytes is about what one message carries.
const cutChunkBytes = 256 << 10

// Next is the next chunk.
func (c *cut) Next() (data []byte, done bool, err error) {
	chunk, err := c.chunks.Chunk(c.offset, cutChunkBytes)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", transfer.ErrInternal, err)
	}
	c.offset += uint64(len(chunk.Data))
	return chunk.Data, chunk.Done, nil
}

// Close lets the disk forget what the view has shown.
func (c *cut) Close() error { return c.view.Close() }
