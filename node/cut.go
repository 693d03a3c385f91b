package node

import (
	"context"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// HoldCommits has a bank that this node leads execute no Commit for a while, or go on (zero). hold names whoever wants it.
func (n *Node) HoldCommits(ctx context.Context, bank transfer.BankID, hold uint64, d time.Duration) error {
	return n.Do(ctx, lane.HoldCommits{Bank: bank, Hold: hold, For: d})[0].Err
}

// Cut is a group's state, at least as new as any answer that was given before the call. Only the node that leads the group makes one. If hold isn't
// zero, the bank has held its commits for it until after the cut, or there is an error. Close the view before the node is stopped.
func (n *Node) Cut(ctx context.Context, group lane.GroupID, hold uint64) (*storage.View, error) {
	if err := n.checkpointed(ctx, lane.Cut{Group: group, Hold: hold}); err != nil { // the bank's commits wait
		return nil, err
	}
	view, err := n.store.View(string(group))
	if err != nil || hold == 0 {
		return view, err
	}
	// Another checkpoint may have come before the view: that, too, must have been made while the bank held its commits.
	if err := n.Do(ctx, lane.HoldCommits{Bank: lane.BankOf(group), Hold: hold, For: holdOn, Keep: true})[0].Err; err != nil {
		_ = view.Close() // it has nothing to lose
		return nil, err
	}
	return view, nil
}

// checkpointed asks for what is answered when a checkpoint is durable, which takes no rests meanwhile.
func (n *Node) checkpointed(ctx context.Context, ask lane.Ask) error {
	defer n.disk.keeping.hurry()()
	return n.Do(ctx, ask)[0].Err
}

// holdOn is how long a bank that has been cut still waits for the others.
const holdOn = 10 * time.Second
