package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backend"
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// HashReplica is the state hash of this node's replica as of an entry.
func (a *nodeAdmin) HashReplica(ctx context.Context, group string, index uint64) (api.ReplicaHash, error) {
	answer := a.look(ctx, lane.HashReplica{Group: lane.GroupID(group), Index: raft.Index(index)})
	return api.ReplicaHash{Index: uint64(answer.Hash.Index), Hash: answer.Hash.Hash}, answer.Err
}

// ScanReplica adds up anew what this node has stored of a group.
func (a *nodeAdmin) ScanReplica(ctx context.Context, group string) (api.ReplicaScan, error) {
	s, index, err := a.node.ScanReplica(ctx, lane.GroupID(group))
	return api.ReplicaScan{Index: uint64(index), Records: s.Records, Recorded: s.Recorded, Computed: s.Computed, Fault: s.Fault}, err
}

// Examine is all that a group has open.
func (a *nodeAdmin) Examine(ctx context.Context, group string, hold uint64) (api.Examined, error) {
	answer := a.look(ctx, lane.Examine{Group: lane.GroupID(group), Hold: hold})
	if answer.Err != nil {
		return api.Examined{}, answer.Err
	}
	x := api.Examined{Index: uint64(answer.Examined.Index), Totals: answer.Examined.Audit.Totals}
	for _, t := range answer.Examined.Unsettled {
		content := api.TransferContent{ID: t.Record.Transfer.ID, Fingerprint: t.Fingerprint}
		x.Unsettled = append(x.Unsettled, api.OpenTransfer{TransferContent: content, State: t.Record.State, Legs: t.Record.Transfer.CapturedLegs(t.Record.CapturedMinor)})
	}
	for _, h := range answer.Examined.Holds {
		x.Holds = append(x.Holds, api.OpenHold{TransferContent: api.TransferContent{ID: h.ID, Fingerprint: h.Fingerprint}, PreparedAtNanos: h.PreparedAt.UnixNano()})
	}
	return x, nil
}

// FindTransfers is what a bank knows of transfers.
func (a *nodeAdmin) FindTransfers(ctx context.Context, at transfer.BankID, hold uint64, contents []api.TransferContent) ([]bank.Result, error) {
	ask := lane.FindTransfers{Bank: at, Hold: hold}
	for _, c := range contents {
		ask.Contents = append(ask.Contents, lane.Content(c))
	}
	answer := a.look(ctx, ask)
	return answer.Found, answer.Err
}

// look asks for what changes nothing: if no answer comes, nothing is in doubt.
func (a *nodeAdmin) look(ctx context.Context, ask lane.Ask) lane.Answer {
	answer := a.node.Do(backend.AnswerBefore(ctx), ask)[0]
	if errors.Is(answer.Err, transfer.ErrOutcomeUnknown) {
		answer.Err = fmt.Errorf("%w: no answer in time", transfer.ErrNoLeader)
	}
	return answer
}
