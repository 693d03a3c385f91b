package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func (n *fakeNode) set(change func(*fakeNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// Whoever calls at the same time shares messages, and each hears of its own transfer.
func TestManyGoroutinesShareAStream(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	fails := func(id string) bool { return id[len(id)-1] < '4' }
	n.does(func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return all(specs, func(s *quoratev1.TransferSpec) *quoratev1.TransferResult {
			if fails(s.GetId()) {
				return abort(s)
			}
			return commit(s)
		}), nil
	})
	const goroutines, each = 500, 10
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				sent := rent(client.NewID())
				r, err := c.Transfer(ctx, sent)
				want := transfer.Committed
				if fails(sent.ID.String()) {
					want = transfer.Aborted
				}
				if err != nil || r.Transfer.ID != sent.ID || r.State != want {
					t.Errorf("%s: %+v, %v", sent.ID, r, err)
				}
			}
		})
	}
	group.Wait()
	asked := map[string]int{}
	for _, call := range n.calls() {
		for _, s := range call {
			asked[s.GetId()]++
		}
	}
	if len(asked) != goroutines*each {
		t.Errorf("%d transfers were asked for, want %d", len(asked), goroutines*each)
	}
	for id, times := range asked {
		if times != 1 {
			t.Errorf("%s was asked for %d times", id, times)
		}
	}
}

// A stream that was never let in has carried nothing out: the refusal is final, and nothing is unknown.
func TestARefusalAtTheDoorIsFinal(t *testing.T) {
	n := startNode(t)
	n.set(func(n *fakeNode) { n.door = statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated) })
	ctx, c := dial(t, n.address)
	for range 200 { // the refusal comes before, while or after the first message is sent
		if _, err := c.Transfer(ctx, rent(client.NewID())); !errors.Is(err, transfer.ErrUnauthenticated) || unknownID(err) != "" {
			t.Fatalf("got %v", err)
		}
	}
	n.set(func(n *fakeNode) { n.door = nil })
	if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
		t.Errorf("after the door has opened: %v", err)
	}
}

// A node that doesn't let a stream in, for now, has carried nothing out either: what it says at last is final, too.
func TestNothingIsUnknownOfAStreamThatWasNeverLetIn(t *testing.T) {
	for _, first := range []error{statusOf(codes.Unavailable, transfer.ErrNoLeader), statusOf(codes.ResourceExhausted, transfer.ErrRateLimited)} {
		n := startNode(t)
		n.set(func(n *fakeNode) { n.door = statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated) })
		ctx, c := dial(t, n.address)
		for range 40 { // the refusal comes before, while or after the first message is sent
			n.set(func(n *fakeNode) { n.doorOnce = first })
			if _, err := c.Transfer(ctx, rent(client.NewID())); !errors.Is(err, transfer.ErrUnauthenticated) || unknownID(err) != "" {
				t.Fatalf("after %v: got %v", first, err)
			}
		}
	}
}

// A program too many with one name gets no stream: its transfers are carried out all the same.
func TestWhoGetsNoStreamAsksWithoutOne(t *testing.T) {
	n := startNode(t)
	n.set(func(n *fakeNode) { n.door = statusOf(codes.ResourceExhausted, transfer.ErrBusy) })
	ctx, c := dial(t, n.address)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	everybodyPays(t, ctx, c, 50)
	if got := len(n.calls()); got != 50 {
		t.Errorf("%d calls, want one for each", got)
	}
}

// A node that ends a stream as it no longer knows who asks may have carried out what was sent before.
func TestAStreamThatIsEndedForItsCallerLeavesTheOutcomeUnknown(t *testing.T) {
	n := startNode(t)
	n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		switch call {
		case 1:
			return all(specs, commit), nil
		case 2:
			return nil, statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated)
		}
		return all(specs, refuse(transfer.ErrUnauthenticated)), nil
	})
	ctx, c := dial(t, n.address)
	if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
		t.Fatal(err)
	}
	id := client.NewID()
	if _, err := c.Transfer(ctx, rent(id)); unknownID(err) != id.String() || !errors.Is(err, transfer.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}

// Whoever finds a node full asks again, with the same id, and nobody else hears of it.
func TestWhoIsTurnedAwayTogetherAsksAgain(t *testing.T) {
	n := startNode(t)
	n.set(func(n *fakeNode) { n.full = 3 })
	ctx, c := dial(t, n.address)
	everybodyPays(t, ctx, c, 50)
}

// What is on a stream when it breaks is asked for again, with the same id, by everybody who waits.
func TestEverybodyOnABrokenStreamAsksAgain(t *testing.T) {
	a, b := startNode(t), startNode(t)
	const callers = 20
	var arrived sync.WaitGroup
	arrived.Add(callers)
	a.does(func(_ int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return nil, statusOf(codes.Unavailable, transfer.ErrStopping)
	})
	ctx, c := dial(t, a.address, b.address)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			arrived.Done()
			arrived.Wait()
			mustPay(t, ctx, c)
		})
	}
	group.Wait()
	got := map[string]bool{}
	for _, call := range b.calls() {
		for _, s := range call {
			got[s.GetId()] = true
		}
	}
	if len(got) != callers {
		t.Errorf("the other node was asked for %d transfers, want %d", len(got), callers)
	}
}

func TestTheLeaderIsFollowed(t *testing.T) {
	a, b := startNode(t), startNode(t)
	ctx, c := dial(t, a.address, b.address)
	a.set(func(n *fakeNode) { n.leader = b.address })
	for i := range 2 {
		if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
			t.Fatalf("transfer %d: %v", i+1, err)
		}
	}
	if len(a.calls()) != 1 || len(b.calls()) != 1 {
		t.Errorf("%d calls at the first node, %d at the leader", len(a.calls()), len(b.calls()))
	}
	b.set(func(n *fakeNode) { n.leader = "elsewhere:7401" }) // a node that the client wasn't given
	if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil || len(b.calls()) != 2 {
		t.Errorf("%v after %d calls at the second node", err, len(b.calls()))
	}
}

// watcher keeps what it hears.
type watcher struct {
	mu    sync.Mutex
	heard []string
}

type watchedKey struct{}

func (w *watcher) Begin(ctx context.Context, id transfer.ID) (context.Context, func(client.Observation)) {
	return context.WithValue(ctx, watchedKey{}, id), func(o client.Observation) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, fmt.Sprint(id, o.Attempts, o.State, o.Err != nil))
	}
}

// timeIsUp is a context whose deadline comes when up is closed.
type timeIsUp struct {
	context.Context
	up chan struct{}
}

func (c timeIsUp) Done() <-chan struct{} { return c.up }

func (c timeIsUp) Err() error {
	select {
	case <-c.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// One caller's time is up while a node answers the others: they stay there. If it answers nobody, they leave it.
func TestOneImpatientCallerDoesNotMoveTheOthers(t *testing.T) {
	patient := func(c *client.Client, ctx context.Context, id transfer.ID) error {
		return c.Transfers(ctx, []transfer.Transfer{rent(id)})[0].Err
	}
	byStream := func(c *client.Client, ctx context.Context, id transfer.ID) error {
		_, err := c.Transfer(ctx, rent(id))
		return err
	}
	for name, way := range map[string]struct {
		slow, others func(*client.Client, context.Context, transfer.ID) error
		answers      bool
	}{"a call": {patient, byStream, true}, "a stream": {byStream, patient, true}, "a call, and nobody is answered": {patient, byStream, false}, "a stream, and nobody is answered": {byStream, patient, false}} {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t), startNode(t)
			slow := client.NewID()
			a.does(func(_ int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
				if specs[0].GetId() == slow.String() {
					<-ctx.Done()
				}
				return all(specs, commit), nil
			})
			ctx, c := dial(t, a.address, b.address)
			impatient := timeIsUp{ctx, make(chan struct{})}
			gone := make(chan error, 1)
			go func() { gone <- way.slow(c, impatient, slow) }()
			for len(a.calls()) == 0 {
				time.Sleep(time.Millisecond)
			}
			if way.answers {
				if err := way.others(c, ctx, client.NewID()); err != nil {
					t.Fatal(err)
				}
			}
			close(impatient.up)
			if err := <-gone; unknownID(err) != slow.String() {
				t.Errorf("the impatient one: %v", err)
			}
			if err := way.others(c, ctx, client.NewID()); err != nil {
				t.Fatal(err)
			}
			if moved := len(b.calls()) > 0; moved == way.answers {
				t.Errorf("the other node was asked %d times", len(b.calls()))
			}
		})
	}
}

func TestAnObserverHearsOfEveryTransfer(t *testing.T) {
	n := startNode(t)
	n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		switch call {
		case 1:
			return all(specs, refuse(transfer.ErrBusy)), nil
		case 2:
			return all(specs, commit), nil
		}
		return all(specs, refuse(transfer.ErrIDConflict)), nil
	})
	w := &watcher{}
	c, err := client.Dial([]string{n.address}, client.WithObserver(w))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	first, second := client.NewID(), client.NewID()
	_, _ = c.Transfer(ctx, rent(first))
	_, _ = c.Transfer(ctx, rent(second))
	want := []string{fmt.Sprint(first, 2, transfer.Committed, false), fmt.Sprint(second, 1, transfer.State(0), true)}
	if fmt.Sprint(w.heard) != fmt.Sprint(want) {
		t.Errorf("heard %v, want %v", w.heard, want)
	}
}
