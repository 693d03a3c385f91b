package api

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/bank"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Verifier is what the consistency check of a cluster needs from a node.
type Verifier interface {
	// HashReplica is the state hash of this node's own replica as of an entry, or of the newest entry if it has forgotten that one or didn't reach it in time.
	HashReplica(ctx context.Context, group string, index uint64) (ReplicaHash, error)
	// ScanReplica adds up anew what this node has stored of a group.
	ScanReplica(ctx context.Context, group string) (ReplicaScan, error)
	// Examine is all that a group has open at one moment. Only the leader answers.
	Examine(ctx context.Context, group string, hold uint64) (Examined, error)
	// FindTransfers is what a bank that holds its commits knows of transfers; zero: nothing. Only the leader answers.
	FindTransfers(ctx context.Context, at transfer.BankID, hold uint64, contents []TransferContent) ([]bank.Result, error)
}

// ReplicaHash is what a replica came to after an entry.
type ReplicaHash struct{ Index, Hash uint64 }

// ReplicaScan is what the stored records of a replica add up to.
type ReplicaScan struct {
	Index              uint64 // the entry up to which they were read
	Records            uint64
	Recorded, Computed uint64 // the state hash as stored, and from the records
	Fault              string // what else can't be right
}

// Examined is what a group has open at one moment.
type Examined struct {
	Index     uint64
	Unsettled []OpenTransfer // of a coordinator
	Totals    []bank.Total   // of a bank
	Holds     []OpenHold     // likewise
}

// OpenTransfer is a transfer that isn't settled.
type OpenTransfer struct {
	TransferContent
	State transfer.State
	Legs  []transfer.Leg
}

// OpenHold is a transfer that a bank has prepared and not decided.
type OpenHold struct {
	TransferContent
	PreparedAtNanos int64
}

// TransferContent is an id and which content is meant under it.
type TransferContent struct {
	ID          transfer.ID
	Fingerprint transfer.Fingerprint
}

// pieceMax is how many transfers or holds are in one piece of an answer, or may be asked about at once.
const pieceMax = 1000

type verifyService struct {
	adminv1.UnimplementedVerifyServiceServer
	verifier Verifier
}

func (s *verifyService) HashReplica(ctx context.Context, r *adminv1.HashReplicaRequest) (*adminv1.HashReplicaResponse, error) {
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	h, err := s.verifier.HashReplica(ctx, r.GetGroup(), r.GetIndex())
	if err != nil {
		return nil, err
	}
	return &adminv1.HashReplicaResponse{Index: h.Index, Hash: h.Hash}, nil
}

func (s *verifyService) ScanReplica(ctx context.Context, r *adminv1.ScanReplicaRequest) (*adminv1.ScanReplicaResponse, error) {
	scan, err := s.verifier.ScanReplica(ctx, r.GetGroup())
	if err != nil {
		return nil, err
	}
	return &adminv1.ScanReplicaResponse{Index: scan.Index, Records: scan.Records, Recorded: scan.Recorded, Computed: scan.Computed, Fault: scan.Fault}, nil
}

func (s *verifyService) ExamineGroup(r *adminv1.ExamineGroupRequest, stream grpc.ServerStreamingServer[adminv1.ExamineGroupResponse]) error {
	x, err := s.verifier.Examine(stream.Context(), r.GetGroup(), r.GetHold())
	if err != nil {
		return err
	}
	return sendPieces(&x, stream)
}

// sendPieces sends an answer that may be too large for one message.
func sendPieces(x *Examined, stream grpc.ServerStreamingServer[adminv1.ExamineGroupResponse]) error {
	m := &adminv1.ExamineGroupResponse{Index: x.Index}
	for _, t := range x.Totals {
		m.Totals = append(m.Totals, &adminv1.CurrencyTotal{Currency: string(t.Currency), PostedMinor: t.PostedMinor})
	}
	for first := true; first || len(x.Unsettled)+len(x.Holds) > 0; first = false {
		n := min(len(x.Unsettled), pieceMax)
		for i := range x.Unsettled[:n] {
			m.Unsettled = append(m.Unsettled, protoOfOpen(&x.Unsettled[i]))
		}
		x.Unsettled = x.Unsettled[n:]
		n = min(len(x.Holds), pieceMax)
		for i := range x.Holds[:n] {
			h := &x.Holds[i]
			at := &timestamppb.Timestamp{Seconds: h.PreparedAtNanos / 1e9, Nanos: int32(h.PreparedAtNanos % 1e9)}
			m.Holds = append(m.Holds, &adminv1.OpenHold{Id: h.ID[:], Fingerprint: h.Fingerprint[:], PreparedAt: at})
		}
		x.Holds = x.Holds[n:]
		if err := stream.Send(m); err != nil {
			return err
		}
		m = &adminv1.ExamineGroupResponse{}
	}
	return nil
}

func protoOfOpen(t *OpenTransfer) *adminv1.UnsettledTransfer {
	p := &adminv1.UnsettledTransfer{Id: t.ID[:], Fingerprint: t.Fingerprint[:], State: t.State.String()}
	for i := range t.Legs {
		leg := &t.Legs[i]
		at := slices.IndexFunc(p.Amounts, func(a *adminv1.NetAmount) bool {
			return a.Bank == string(leg.Bank) && a.Currency == string(leg.Currency)
		})
		if at < 0 {
			at = len(p.Amounts)
			p.Amounts = append(p.Amounts, &adminv1.NetAmount{Bank: string(leg.Bank), Currency: string(leg.Currency)})
		}
		p.Amounts[at].AmountMinor += leg.SignedMinor()
	}
	return p
}

func (s *verifyService) FindTransfers(ctx context.Context, r *adminv1.FindTransfersRequest) (*adminv1.FindTransfersResponse, error) {
	if len(r.GetTransfers()) > pieceMax {
		return nil, fmt.Errorf("%w: %d transfers at once, at most %d", transfer.ErrInvalidRequest, len(r.GetTransfers()), pieceMax)
	}
	contents := make([]TransferContent, len(r.GetTransfers()))
	for i, t := range r.GetTransfers() {
		if len(t.GetId()) != len(transfer.ID{}) || len(t.GetFingerprint()) != len(transfer.Fingerprint{}) {
			return nil, fmt.Errorf("%w: transfer %d: an id of %d bytes, a fingerprint of %d", transfer.ErrInvalidRequest, i+1, len(t.GetId()), len(t.GetFingerprint()))
		}
		contents[i] = TransferContent{ID: transfer.ID(t.GetId()), Fingerprint: transfer.Fingerprint(t.GetFingerprint())}
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	found, err := s.verifier.FindTransfers(ctx, transfer.BankID(r.GetBank()), r.GetHold(), contents)
	if err != nil {
		return nil, err
	}
	out := &adminv1.FindTransfersResponse{Found: make([]adminv1.BankKnowledge, len(found))}
	for i := range found {
		out.Found[i] = knowledge[found[i]]
	}
	return out, nil
}

// knowledge is the wire form of what a bank knows.
var knowledge = map[bank.Result]adminv1.BankKnowledge{
	0:               adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING,
	bank.Prepared:   adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED,
	bank.Committed:  adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED,
	bank.RolledBack: adminv1.BankKnowledge_BANK_KNOWLEDGE_ROLLED_BACK,
	bank.No:         adminv1.BankKnowledge_BANK_KNOWLEDGE_REFUSED,
}
