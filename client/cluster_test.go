package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

var epoch = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

// fakeNode answers as a script says. It keeps what it was asked.
type fakeNode struct {
	quoratev1.UnimplementedTransferServiceServer
	quoratev1.UnimplementedAccountServiceServer
	quoratev1.UnimplementedStatusServiceServer
	healthv1.UnimplementedHealthServer

	address string
	server  *grpc.Server
	done    sync.WaitGroup

	mu       sync.Mutex
	asked    [][]*quoratev1.TransferSpec
	script   func(call int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error)
	fail     error // of reads
	door     error // refuses every stream
	doorOnce error // refuses the next one
	full     int   // so many more requests of streams are turned away together
	leader   string
	breaks   *breaks // of watches; nil: they go on
	streams  int     // of transfers, that are open
	health   func(context.Context) error
}

func startNode(t *testing.T, options ...grpc.ServerOption) *fakeNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{address: l.Addr().String(), server: grpc.NewServer(append(options, grpc.WaitForHandlers(true), grpc.MaxRecvMsgSize(16<<20))...)}
	quoratev1.RegisterTransferServiceServer(n.server, n)
	quoratev1.RegisterAccountServiceServer(n.server, n)
	quoratev1.RegisterStatusServiceServer(n.server, n)
	healthv1.RegisterHealthServer(n.server, n)
	n.done.Go(func() { _ = n.server.Serve(l) })
	t.Cleanup(n.stop)
	return n
}

func (n *fakeNode) stop() {
	n.server.Stop()
	n.done.Wait()
}

// does sets the script.
func (n *fakeNode) does(script func(call int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script = script
}

// calls is what the node was asked so far.
func (n *fakeNode) calls() [][]*quoratev1.TransferSpec {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *fakeNode) SubmitTransfers(ctx context.Context, r *quoratev1.SubmitTransfersRequest) (*quoratev1.SubmitTransfersResponse, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.GetTransfers())
	call, script := len(n.asked), n.script
	n.mu.Unlock()
	if script == nil {
		return &quoratev1.SubmitTransfersResponse{Results: all(r.GetTransfers(), commit)}, nil
	}
	results, err := script(call, ctx, r.GetTransfers())
	return &quoratev1.SubmitTransfersResponse{Results: results}, err
}

// turnsAway counts down the requests that find the node full.
func (n *fakeNode) turnsAway() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full--
	return n.full >= 0
}

// StreamTransfers answers one request after another as SubmitTransfers does; an error of the script ends the stream.
func (n *fakeNode) StreamTransfers(stream grpc.BidiStreamingServer[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]) error {
	n.mu.Lock()
	door, leader := n.door, n.leader
	if n.doorOnce != nil {
		door, n.doorOnce = n.doorOnce, nil
	}
	n.streams++
	n.mu.Unlock()
	defer n.set(func(n *fakeNode) { n.streams-- })
	if door != nil {
		return door
	}
	if err := stream.SendHeader(metadata.Pairs("request-id", "test")); err != nil {
		return err
	}
	for number := uint64(1); ; {
		r, err := stream.Recv()
		if err != nil {
			return nil
		}
		if n.turnsAway() {
			busy := &quoratev1.Error{Code: "busy", Message: "full", Retryable: true, Outcome: quoratev1.Outcome_OUTCOME_NOT_APPLIED}
			refusal := &quoratev1.TransferRefusal{FirstNumber: number, Count: uint64(len(r.GetTransfers())), Error: busy}
			if !r.GetRefuseTogether() {
				return errors.New("the client doesn't say that it understands refusals")
			}
			if err := stream.Send(&quoratev1.StreamTransfersResponse{Refusals: []*quoratev1.TransferRefusal{refusal}}); err != nil {
				return err
			}
			number += uint64(len(r.GetTransfers()))
			continue
		}
		answer, err := n.SubmitTransfers(stream.Context(), &quoratev1.SubmitTransfersRequest{Transfers: r.GetTransfers()})
		if err != nil {
			return err
		}
		for i, result := range answer.GetResults() {
			result.Number = number + uint64(i)
		}
		number += uint64(len(r.GetTransfers()))
		if err := stream.Send(&quoratev1.StreamTransfersResponse{Results: answer.GetResults(), Leader: leader}); err != nil {
			return err
		}
	}
}

func all(specs []*quoratev1.TransferSpec, one func(*quoratev1.TransferSpec) *quoratev1.TransferResult) []*quoratev1.TransferResult {
	out := make([]*quoratev1.TransferResult, len(specs))
	for i, s := range specs {
		out[i] = one(s)
	}
	return out
}

func commit(s *quoratev1.TransferSpec) *quoratev1.TransferResult {
	return &quoratev1.TransferResult{Id: s.GetId(), Result: &quoratev1.TransferResult_Transfer{Transfer: &quoratev1.Transfer{
		Id: s.GetId(), State: quoratev1.TransferState_TRANSFER_STATE_COMMITTED,
		Settled: true, CreatedAt: timestamppb.New(epoch), DecidedAt: timestamppb.New(epoch.Add(time.Second)),
	}}}
}

func abort(s *quoratev1.TransferSpec) *quoratev1.TransferResult {
	r := commit(s)
	r.GetTransfer().State = quoratev1.TransferState_TRANSFER_STATE_ABORTED
	r.GetTransfer().Reason = &quoratev1.Reason{Code: "insufficient_funds", Bank: "HOME", Detail: "too little", Shortfall: &quoratev1.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: -3, NeededMinor: 7}}
	return r
}

// refuse is a result with an error of package transfer.
func refuse(e *transfer.Error) func(*quoratev1.TransferSpec) *quoratev1.TransferResult {
	return func(s *quoratev1.TransferSpec) *quoratev1.TransferResult {
		return &quoratev1.TransferResult{Id: s.GetId(), Result: &quoratev1.TransferResult_Error{Error: &quoratev1.Error{
			Code: string(e.Code), Message: e.Meaning + ": with numbers", Retryable: e.Kind == transfer.KindUnavailable || e.Kind == transfer.KindExhausted,
		}}}
	}
}

// statusOf is an error of package transfer as a whole call's status.
func statusOf(code codes.Code, e *transfer.Error) error {
	s, err := status.New(code, e.Meaning+": with numbers").WithDetails(&errdetails.ErrorInfo{Reason: string(e.Code), Domain: "quorate.dev"})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func (n *fakeNode) CancelTransfer(_ context.Context, r *quoratev1.CancelTransferRequest) (*quoratev1.CancelTransferResponse, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	cancelled := abort(&quoratev1.TransferSpec{Id: r.GetId()}).GetTransfer()
	cancelled.Reason = &quoratev1.Reason{Code: "cancelled", Detail: "a client cancelled it"}
	return &quoratev1.CancelTransferResponse{Transfer: cancelled}, nil
}

func (n *fakeNode) CaptureTransfer(_ context.Context, r *quoratev1.CaptureTransferRequest) (*quoratev1.CaptureTransferResponse, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	captured := commit(&quoratev1.TransferSpec{Id: r.GetId()}).GetTransfer()
	captured.CapturedMinor = r.GetAmountsMinor()
	return &quoratev1.CaptureTransferResponse{Transfer: captured}, nil
}

func (n *fakeNode) VoidTransfer(_ context.Context, r *quoratev1.VoidTransferRequest) (*quoratev1.VoidTransferResponse, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	return &quoratev1.VoidTransferResponse{Transfer: abort(&quoratev1.TransferSpec{Id: r.GetId()}).GetTransfer()}, nil
}

func (n *fakeNode) GetTransfer(_ context.Context, r *quoratev1.GetTransferRequest) (*quoratev1.GetTransferResponse, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	answer := &quoratev1.GetTransferResponse{Transfer: abort(&quoratev1.TransferSpec{Id: r.GetId()}).GetTransfer()}
	if answer.Stale = r.GetConsistency() == quoratev1.Consistency_CONSISTENCY_STALE; answer.Stale {
		answer.Transfer.State, answer.Transfer.Reason = quoratev1.TransferState_TRANSFER_STATE_PENDING, nil
	}
	return answer, nil
}

func (n *fakeNode) OpenAccount(_ context.Context, r *quoratev1.OpenAccountRequest) (*quoratev1.OpenAccountResponse, error) {
	return &quoratev1.OpenAccountResponse{Account: &quoratev1.Account{
		Id: r.GetAccount(), Currency: r.GetCurrency(), OverdraftMinor: r.GetOverdraftMinor(), Unlimited: r.GetUnlimited(),
		Status: quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN,
	}}, n.fail
}

func (n *fakeNode) GetAccount(_ context.Context, r *quoratev1.GetAccountRequest) (*quoratev1.GetAccountResponse, error) {
	available := int64(7)
	return &quoratev1.GetAccountResponse{Account: &quoratev1.Account{
		Id: r.GetAccount(), Currency: "CZK", PostedMinor: 10, HeldMinor: 3, IncomingMinor: 1, AvailableMinor: &available,
		Status: quoratev1.AccountStatus_ACCOUNT_STATUS_FROZEN,
	}}, n.fail
}

func (n *fakeNode) ListAccounts(_ context.Context, r *quoratev1.ListAccountsRequest) (*quoratev1.ListAccountsResponse, error) {
	if r.GetPageToken() == "" {
		return &quoratev1.ListAccountsResponse{Accounts: []*quoratev1.Account{{Id: "a"}, {Id: "b"}}, NextPageToken: "more"}, n.fail
	}
	return &quoratev1.ListAccountsResponse{Accounts: []*quoratev1.Account{{Id: "c"}}}, n.fail
}

func (n *fakeNode) ListEntries(_ context.Context, r *quoratev1.ListEntriesRequest) (*quoratev1.ListEntriesResponse, error) {
	if r.GetPageToken() == "" {
		return &quoratev1.ListEntriesResponse{Entries: []*quoratev1.Entry{{Seq: 1, TransferId: client.NewID().String()}}, NextPageToken: "more"}, n.fail
	}
	return &quoratev1.ListEntriesResponse{Entries: []*quoratev1.Entry{{Seq: 2, TransferId: client.NewID().String(), AmountMinor: -5}}}, n.fail
}

func (n *fakeNode) GetStatus(context.Context, *quoratev1.GetStatusRequest) (*quoratev1.GetStatusResponse, error) {
	return &quoratev1.GetStatusResponse{Status: &quoratev1.Status{
		Cluster: "test", Node: 1, Groups: []*quoratev1.GroupStatus{{Group: "coordinator/0", Leader: 1}}, Banks: []*quoratev1.BankStatus{{Id: "HOME", Up: true, Breaker: "open"}},
	}}, n.fail
}

func (n *fakeNode) AuditBank(_ context.Context, r *quoratev1.AuditBankRequest) (*quoratev1.AuditBankResponse, error) {
	return &quoratev1.AuditBankResponse{Audit: &quoratev1.Audit{Bank: r.GetBank(), Totals: []*quoratev1.Total{{Currency: "CZK", PostedMinor: -4}}, LastEntry: 9}}, n.fail
}

// dial makes a client of the addresses and a context that ends when the test has waited enough.
func dial(t *testing.T, addresses ...string) (context.Context, *client.Client) {
	t.Helper()
	return dialWith(t, addresses)
}

func dialWith(t *testing.T, addresses []string, options ...client.Option) (context.Context, *client.Client) {
	t.Helper()
	c, err := client.Dial(addresses, options...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() { cancel(); _ = c.Close() })
	return ctx, c
}

// everybodyPays has so many callers pay at the same time, and wants each to hear of its own transfer that it is committed.
func everybodyPays(t *testing.T, ctx context.Context, c *client.Client, callers int) {
	t.Helper()
	var group sync.WaitGroup
	for range callers {
		group.Go(func() { mustPay(t, ctx, c) })
	}
	group.Wait()
}

func mustPay(t *testing.T, ctx context.Context, c *client.Client) {
	t.Helper()
	id := client.NewID()
	if r, err := c.Transfer(ctx, rent(id)); err != nil || r.Transfer.ID != id || r.State != transfer.Committed {
		t.Errorf("%+v, %v", r, err)
	}
}

func rent(id transfer.ID) transfer.Transfer {
	return transfer.Transfer{ID: id, Reference: "rent", Legs: []transfer.Leg{
		{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK"},
		{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 1050, Currency: "CZK"},
	}}
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
