package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

type transferStream = grpc.BidiStreamingClient[quoratev1.StreamTransfersRequest, quoratev1.StreamTransfersResponse]

func openStream(t *testing.T, w *world) transferStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := w.transfers().StreamTransfers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sendTransfers(t *testing.T, s transferStream, specs ...*quoratev1.TransferSpec) {
	t.Helper()
	if err := s.Send(&quoratev1.StreamTransfersRequest{Transfers: specs, OmitContent: true}); err != nil {
		t.Fatal(err)
	}
}

// results reads the stream until it has so many, by number, and each once.
func results(t *testing.T, s transferStream, want int) map[uint64]*quoratev1.TransferResult {
	t.Helper()
	got := map[uint64]*quoratev1.TransferResult{}
	for len(got) < want {
		r, err := s.Recv()
		if err != nil {
			t.Fatalf("after %d of %d results: %v", len(got), want, err)
		}
		for _, one := range r.GetResults() {
			if got[one.GetNumber()] != nil {
				t.Fatalf("a second result for number %d", one.GetNumber())
			}
			got[one.GetNumber()] = one
		}
	}
	return got
}

func numbered(i int) string { return fmt.Sprintf("01936b2e-0000-7000-8000-%012d", i) }

func TestAStreamGivesEveryTransferItsOwnResult(t *testing.T) {
	w := open(t, nil)
	s := openStream(t, w)
	bad := spec(numbered(2))
	bad.Legs = bad.Legs[:1]
	nameless := spec("nonsense")
	sendTransfers(t, s, spec(numbered(1)), bad, nameless)
	sendTransfers(t, s)
	sendTransfers(t, s, spec(numbered(4)), spec(numbered(4)))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	got := results(t, s, 5)
	for number, id := range map[uint64]string{1: numbered(1), 4: numbered(4), 5: numbered(4)} {
		if r := got[number].GetTransfer(); r.GetId() != id || got[number].GetId() != id || r.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED || len(r.GetLegs()) != 0 {
			t.Errorf("number %d: %v", number, got[number])
		}
	}
	for number, want := range map[uint64]struct{ id, code string }{2: {numbered(2), "too_few_legs"}, 3: {"nonsense", "invalid_id"}} {
		if e := got[number].GetError(); got[number].GetId() != want.id || e.GetCode() != want.code || e.GetOutcome() != quoratev1.Outcome_OUTCOME_NOT_APPLIED {
			t.Errorf("number %d: %v", number, got[number])
		}
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last result: %v", err)
	}
}

// One slow transfer must not keep the results of others, of the same request too.
func TestResultsOfAStreamDoNotWaitForEachOther(t *testing.T) {
	w := open(t, nil)
	slow := make(chan struct{})
	w.fake.set(func(f *fake) {
		f.submit = func(_ context.Context, t transfer.Transfer) (transfer.Record, error) {
			if t.ID.String() == numbered(1) {
				<-slow
			}
			return committed(t), nil
		}
	})
	s := openStream(t, w)
	sendTransfers(t, s, spec(numbered(1)), spec(numbered(2)))
	sendTransfers(t, s, spec(numbered(3)))
	got := results(t, s, 2)
	if got[2] == nil || got[3] == nil {
		t.Errorf("got %v", got)
	}
	close(slow)
	if got := results(t, s, 1); got[1] == nil {
		t.Errorf("got %v", got)
	}
}

func TestARefusalOnAStreamSaysWhenToAskAgain(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) { f.fail = transfer.ErrBusy })
	s := openStream(t, w)
	sendTransfers(t, s, spec(numbered(1)))
	if e := results(t, s, 1)[1].GetError(); e.GetCode() != "busy" || !e.GetRetryable() || e.GetRetryAfter().AsDuration() <= 0 {
		t.Errorf("got %v", e)
	}
}

// TestAFullServerTurnsRequestsAwayUnread: each transfer hears so by itself, or all of a request together if its client wants that. Nothing is handed over, and the
// stream goes on.
func TestAFullServerTurnsRequestsAwayUnread(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) { f.full = transfer.ErrBusy })
	s := openStream(t, w)
	sendTransfers(t, s, spec(numbered(1)), spec("nonsense"))
	for number, r := range results(t, s, 2) {
		if e := r.GetError(); r.GetId() != []string{numbered(1), "nonsense"}[number-1] || e.GetCode() != "busy" || !e.GetRetryable() || e.GetRetryAfter().AsDuration() <= 0 {
			t.Errorf("number %d: %v", number, r)
		}
	}
	for _, specs := range [][]*quoratev1.TransferSpec{nil, {spec(numbered(3)), spec(numbered(4)), spec(numbered(5))}} {
		if err := s.Send(&quoratev1.StreamTransfersRequest{Transfers: specs, OmitContent: true, RefuseTogether: true}); err != nil {
			t.Fatal(err)
		}
	}
	var r *quoratev1.StreamTransfersResponse
	for len(r.GetRefusals()) == 0 {
		var err error
		if r, err = s.Recv(); err != nil {
			t.Fatal(err)
		}
		if len(r.GetResults()) > 0 {
			t.Fatalf("a result of its own: %v", r)
		}
	}
	if f := r.GetRefusals()[0]; f.GetFirstNumber() != 3 || f.GetCount() != 3 || f.GetError().GetCode() != "busy" || f.GetError().GetOutcome() != quoratev1.Outcome_OUTCOME_NOT_APPLIED {
		t.Errorf("got %v", f)
	}
	if n := len(w.fake.seen); n != 0 {
		t.Errorf("%d were handed over", n)
	}
	w.fake.set(func(f *fake) { f.full = nil })
	sendTransfers(t, s, spec(numbered(6)))
	if got := results(t, s, 1)[6].GetTransfer(); got.GetId() != numbered(6) {
		t.Errorf("when there is room: %v", got)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v: it owes nothing", err)
	}
}

// TestAFullServerReadsNoRubbish: what isn't a request ends its stream, room or not.
func TestAFullServerReadsNoRubbish(t *testing.T) {
	for _, full := range []error{nil, transfer.ErrBusy} {
		w := open(t, nil)
		w.fake.set(func(f *fake) { f.full = full })
		for _, rubbish := range [][]byte{{0x0a}, {0x0a, 5, 1}, {0x0a, 4, 0x0a, 2, 0xff, 0xfe}, {7}} {
			s := openStream(t, w)
			if err := s.SendMsg(&wrapperspb.BytesValue{Value: []byte("x")}); err != nil { // field 1: a transfer of one byte that isn't one
				t.Fatal(err)
			}
			empty := &quoratev1.StreamTransfersRequest{}
			empty.ProtoReflect().SetUnknown(rubbish)
			_ = s.SendMsg(empty) // the stream has ended, perhaps
			if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("full: %v, %x: %v", full, rubbish, err)
			}
		}
	}
}

// TestTooManyTransfersEndAStream: they aren't even read, for 4 MiB of empty transfers are two million.
func TestTooManyTransfersEndAStream(t *testing.T) {
	for _, full := range []error{nil, transfer.ErrBusy} {
		w := open(t, nil)
		w.fake.set(func(f *fake) { f.full = full })
		s := openStream(t, w)
		sendTransfers(t, s, make([]*quoratev1.TransferSpec, api.BatchMax)...)
		if got := results(t, s, api.BatchMax); len(got) != api.BatchMax {
			t.Errorf("full: %v: %d results", full, len(got))
		}
		sendTransfers(t, s, make([]*quoratev1.TransferSpec, api.BatchMax+1)...)
		if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "8190") {
			t.Errorf("full: %v: %v", full, err)
		}
		if n := len(w.fake.seen); n != 0 {
			t.Errorf("%d were handed over", n)
		}
	}
}

// TestTooManyLegsAreNotRead: 4 MiB of empty legs are two million, in one transfer or in many, and reading them would take hundreds of megabytes.
func TestTooManyLegsAreNotRead(t *testing.T) {
	w := open(t, nil)
	const legs = 1<<18 + 1
	one := &quoratev1.TransferSpec{Legs: make([]*quoratev1.Leg, legs)}
	many := make([]*quoratev1.TransferSpec, 4096)
	for i := range many {
		many[i] = &quoratev1.TransferSpec{Legs: make([]*quoratev1.Leg, legs/len(many)+1)}
	}
	ctx := t.Context()
	_, single := w.transfers().SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: one})
	_, batch := w.transfers().SubmitTransfers(ctx, &quoratev1.SubmitTransfersRequest{Transfers: many})
	s := openStream(t, w)
	sendTransfers(t, s, many...)
	_, streamed := s.Recv()
	for name, err := range map[string]error{"single": single, "batch": batch, "stream": streamed} {
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "262144 legs") {
			t.Errorf("%s: %v", name, err)
		}
	}
	one.Legs = one.Legs[1:]
	if _, err := w.transfers().SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: one}); status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), "262144 legs") {
		t.Errorf("as many as may come: %v", err)
	}
	if n := len(w.fake.seen); n != 0 {
		t.Errorf("%d were handed over", n)
	}
}

// What is under way when the server stops is finished, and nothing new is read.
func TestADrainingServerFinishesItsStreams(t *testing.T) {
	w := open(t, nil)
	hold, began := make(chan struct{}), make(chan struct{})
	w.fake.set(func(f *fake) {
		f.submit = func(_ context.Context, t transfer.Transfer) (transfer.Record, error) {
			close(began)
			<-hold
			return committed(t), nil
		}
	})
	s := openStream(t, w)
	sendTransfers(t, s, spec(numbered(1)))
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop(patience) }()
	close(hold)
	if got := results(t, s, 1)[1].GetTransfer(); got.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED {
		t.Errorf("got %v", got)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after the last result: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// A client that goes away leaves nothing behind: the backend is told to forget.
func TestAStreamThatBreaksIsForgotten(t *testing.T) {
	w := open(t, nil)
	began, forgotten := make(chan struct{}), make(chan struct{})
	w.fake.set(func(f *fake) {
		f.submit = func(ctx context.Context, t transfer.Transfer) (transfer.Record, error) {
			close(began)
			<-ctx.Done()
			close(forgotten)
			return transfer.Record{}, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	s, err := w.transfers().StreamTransfers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sendTransfers(t, s, spec(numbered(1)))
	<-began
	cancel()
	select {
	case <-forgotten:
	case <-time.After(patience):
		t.Error("it isn't forgotten")
	}
}

func TestClientsAreToldWhoLeads(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) { f.leader = "node2:7401" })
	s := openStream(t, w)
	sendTransfers(t, s, spec(numbered(1)))
	if r, err := s.Recv(); err != nil || r.GetLeader() != "node2:7401" {
		t.Errorf("on a stream: %v, %v", r, err)
	}
	for name, call := range map[string]func(...grpc.CallOption) error{
		"one": func(o ...grpc.CallOption) error {
			_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)}, o...)
			return err
		},
		"a batch": func(o ...grpc.CallOption) error {
			_, err := w.transfers().SubmitTransfers(context.Background(), &quoratev1.SubmitTransfersRequest{Transfers: []*quoratev1.TransferSpec{spec(idText)}}, o...)
			return err
		},
	} {
		var trailer metadata.MD
		if err := call(grpc.Trailer(&trailer)); err != nil || len(trailer.Get("quorate-leader")) != 1 || trailer.Get("quorate-leader")[0] != "node2:7401" {
			t.Errorf("%s: trailer %v, %v", name, trailer, err)
		}
	}
}

// A stream is one method to gRPC and many requests to the door: the caller's role, its banks and its pace count for each.
func TestTheDoorLooksAtEveryRequestOfAStream(t *testing.T) {
	g := openGuarded(t, nil)
	on := func(id pki.Identity) transferStream {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		s, err := quoratev1.NewTransferServiceClient(g.as(t, id).conn).StreamTransfers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if _, err := on(pki.Identity{Client: "reader", Roles: []string{"read"}}).Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a reader: %v", err)
	}
	bound := on(pki.Identity{Client: "home", Roles: []string{"submit"}, Banks: []string{"HOME"}})
	sendTransfers(t, bound, spec(numbered(1)))
	if e := results(t, bound, 1)[1].GetError(); e.GetCode() != string(transfer.ErrForbidden.Code) || e.GetOutcome() != quoratev1.Outcome_OUTCOME_NOT_APPLIED {
		t.Errorf("bound to one of two banks: %v", e)
	}
	free := on(pki.Identity{Client: "shop", Roles: []string{"submit"}, Banks: []string{"HOME", "CITY"}})
	sendTransfers(t, free, spec(numbered(1)))
	if r := results(t, free, 1)[1]; r.GetTransfer() == nil {
		t.Errorf("bound to both banks: %v", r)
	}
}

func TestTransfersOfAStreamAreCounted(t *testing.T) {
	g := openGuarded(t, func(c *api.Config) { c.RequestsPerSecond = 100 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := quoratev1.NewTransferServiceClient(g.as(t, pki.Identity{Client: "c", Roles: []string{"submit"}}).conn).StreamTransfers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]*quoratev1.TransferSpec, 100)
	for i := range many {
		many[i] = spec(numbered(i + 1))
	}
	for first := uint64(1); ; first += uint64(len(many)) {
		sendTransfers(t, s, many...)
		if e := results(t, s, len(many))[first].GetError(); e != nil {
			if e.GetCode() != string(transfer.ErrRateLimited.Code) || e.GetRetryAfter().AsDuration() <= 0 {
				t.Errorf("got %v", e)
			}
			return
		}
	}
}
