package api

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Admin is what an operator's requests need from a node. Only the leader of a group answers for it; others say ErrNoLeader.
type Admin interface {
	// HoldCommits has a bank keep its commits for a while; zero ends that.
	HoldCommits(ctx context.Context, bank transfer.BankID, hold uint64, d time.Duration) error
	// Cut is a group's state as of one moment.
	Cut(ctx context.Context, group string, hold uint64) (Cut, error)
	Verifier
}

// Cut is read by one goroutine, and closed by it.
type Cut interface {
	// At is the last log entry that the cut contains.
	At() (index, term uint64)
	// Next is the next chunk, until done.
	Next() (data []byte, done bool, err error)
	Close() error
}

type backupService struct {
	adminv1.UnimplementedBackupServiceServer
	admin Admin
}

func (s *backupService) HoldCommits(ctx context.Context, r *adminv1.HoldCommitsRequest) (*adminv1.HoldCommitsResponse, error) {
	if err := s.admin.HoldCommits(ctx, transfer.BankID(r.GetBank()), r.GetHold(), r.GetDuration().AsDuration()); err != nil {
		return nil, err
	}
	return &adminv1.HoldCommitsResponse{}, nil
}

func (s *backupService) CutGroup(r *adminv1.CutGroupRequest, stream grpc.ServerStreamingServer[adminv1.CutGroupResponse]) error {
	ctx := stream.Context()
	cut, err := s.admin.Cut(ctx, r.GetGroup(), r.GetHold())
	if err != nil {
		return err
	}
	err = sendCut(ctx, cut, stream)
	if closed := cut.Close(); err == nil {
		err = closed
	}
	return err
}

func sendCut(ctx context.Context, cut Cut, stream grpc.ServerStreamingServer[adminv1.CutGroupResponse]) error {
	index, term := cut.At()
	m := &adminv1.CutGroupResponse{Index: index, Term: term}
	for done := false; ; {
		if err := stream.Send(m); err != nil || done {
			return err
		}
		if ctx.Err() != nil { // the client is gone, or this node stops
			return fmt.Errorf("%w: the cut was not read to its end", transfer.ErrStopping)
		}
		var data []byte
		var err error
		if data, done, err = cut.Next(); err != nil {
			return err
		}
		m = &adminv1.CutGroupResponse{Data: data, Done: done}
	}
}
