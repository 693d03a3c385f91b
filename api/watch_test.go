package api_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Decisions are the listed transfers but for the first, which the second of two groups has decided; two on a page.
func (f *fake) Decisions(_ context.Context, q api.DecisionQuery) (api.DecisionPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchFails > 0 {
		f.watchFails--
		return api.DecisionPage{}, transfer.ErrNoLeader
	}
	if f.fail != nil {
		return api.DecisionPage{}, f.fail
	}
	if f.silent && q.After != nil {
		return api.DecisionPage{After: q.After}, nil
	}
	groups := [][]transfer.Record{listed()[1:], listed()[:1]}
	if q.After == nil {
		return api.DecisionPage{After: []uint64{3, 1}}, nil
	}
	if len(q.After) != len(groups) {
		return api.DecisionPage{}, transfer.ErrInvalidRequest
	}
	page := api.DecisionPage{After: append([]uint64{}, q.After...)}
	for g, all := range groups {
		for ; page.After[g] < uint64(len(all)) && len(page.Decided) < 2; page.After[g]++ {
			if r := all[page.After[g]]; q.State == 0 || r.State == q.State {
				page.Decided = append(page.Decided, api.Decision{Record: r, Group: g, Number: page.After[g] + 1})
			}
		}
		page.More = page.More || page.After[g] < uint64(len(all))
	}
	return page, nil
}

// watched reads so many transfers over gRPC, as the last digits of their ids, and the last position.
func watched(t *testing.T, w *world, r *quoratev1.WatchTransfersRequest, count int) (ids, position string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := w.transfers().WatchTransfers(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	for signs := 0; len(ids) < count; {
		m, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %q: %v", ids, err)
		}
		if position = m.GetPosition(); m.GetTransfer() != nil {
			ids += m.GetTransfer().GetId()[35:]
		} else if signs++; signs == 1 && count == 0 {
			break
		}
	}
	return ids, position
}

func TestAWatchGoesOnWhereItEnded(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) { f.watchFails = 0 })
	if ids, _ := watched(t, w, &quoratev1.WatchTransfersRequest{}, 1); ids != "5" {
		t.Errorf("from now on: %s", ids)
	}
	for first := 1; first <= 4; first++ {
		before, position := watched(t, w, &quoratev1.WatchTransfersRequest{FromBeginning: true}, first)
		rest, _ := watched(t, w, &quoratev1.WatchTransfersRequest{Position: position}, 5-first)
		if before+rest != "23451" {
			t.Errorf("%s, then %s", before, rest)
		}
	}
	if ids, _ := watched(t, w, &quoratev1.WatchTransfersRequest{FromBeginning: true, State: quoratev1.TransferState_TRANSFER_STATE_ABORTED}, 1); ids != "2" {
		t.Errorf("aborted ones: %s", ids)
	}
}

func TestAWatchOutlivesALeader(t *testing.T) {
	w := open(t, nil)
	_, position := watched(t, w, &quoratev1.WatchTransfersRequest{FromBeginning: true}, 2)
	w.fake.set(func(f *fake) { f.watchFails = 1 })
	if ids, _ := watched(t, w, &quoratev1.WatchTransfersRequest{Position: position}, 3); ids != "451" {
		t.Errorf("went on with %s", ids)
	}
}

func TestWatchesThatAreRefused(t *testing.T) {
	w := open(t, nil)
	list := base64.RawURLEncoding.EncodeToString([]byte("1,2"))
	three, another := base64.RawURLEncoding.EncodeToString([]byte("d1,2,3")), base64.RawURLEncoding.EncodeToString([]byte("d01,2"))
	for _, r := range []*quoratev1.WatchTransfersRequest{{Position: "?"}, {Position: list}, {Position: three}, {Position: another}, {Bank: "HO ME"}, {Account: "a b"}, {State: 9}} {
		stream, err := w.transfers().WatchTransfers(context.Background(), r)
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
	for _, query := range []string{"?position=" + list, "?position=" + three, "?state=pending", "?from=yesterday", "?bank=HO%20ME", "?since=1"} {
		if r := w.do("GET", "/v1/events"+query, ""); r.status != 400 || r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	w.fake.set(func(f *fake) { f.fail = transfer.ErrNoLeader })
	if r := w.do("GET", "/v1/events", ""); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("nobody knows where now is: %d %s", r.status, r.body)
	}
}

// events opens the stream and reads blocks until so many have data.
func events(t *testing.T, w *world, path string, count int, headers ...string) (blocks []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	block := ""
	for lines := bufio.NewScanner(answer.Body); len(blocks) < count; {
		if !lines.Scan() {
			t.Fatalf("ended after %q: %v", blocks, lines.Err())
		}
		switch {
		case lines.Text() != "":
			block += lines.Text() + "\n"
		case strings.Contains(block, "data: "):
			blocks = append(blocks, block)
			fallthrough
		default:
			block = ""
		}
	}
	return blocks
}

func TestServerSentEvents(t *testing.T) {
	w := open(t, nil)
	all := events(t, w, "/v1/events?from=beginning", 5)
	golden(t, "events.txt", strings.Join(all, "\n"))
	id, _, _ := strings.Cut(strings.TrimPrefix(all[2], "id: "), "\n")
	for _, rest := range [][]string{
		events(t, w, "/v1/events", 2, "Last-Event-ID: "+id),
		events(t, w, "/v1/events?position="+id, 2),
		events(t, w, "/v1/events?from=beginning&position=nonsense", 2, "Last-Event-ID: "+id), // what a browser does when it reconnects
	} {
		if strings.Join(rest, "") != strings.Join(all[3:], "") {
			t.Errorf("behind the third: %q", rest)
		}
	}
}

// A node that stops ends its watchers, and says so.
func TestAWatchEndsWithTheNode(t *testing.T) {
	w := open(t, nil)
	stream, err := w.transfers().WatchTransfers(context.Background(), &quoratev1.WatchTransfersRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.http.Get(w.url + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop(patience) }() // waited for below
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("the stream ends with %v", err)
	}
	last := ""
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if !strings.HasPrefix(last, `data: {"type":"urn:quorate:error:stopping"`) {
		t.Errorf("the events end with %q", last)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	w := open(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	for n := 0; n <= 300 && err == nil; n++ {
		var stream quoratev1.TransferService_WatchTransfersClient
		if stream, err = w.transfers().WatchTransfers(ctx, &quoratev1.WatchTransfersRequest{}); err == nil {
			_, err = stream.Recv()
		}
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("300 watch: %v", err)
	}
	cancel()
	again, end := context.WithTimeout(context.Background(), patience)
	defer end()
	for err = errors.New("not asked yet"); err != nil && again.Err() == nil; { // the places become free one by one
		var stream quoratev1.TransferService_WatchTransfersClient
		if stream, err = w.transfers().WatchTransfers(again, &quoratev1.WatchTransfersRequest{}); err == nil {
			_, err = stream.Recv()
		}
	}
	if err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// One caller takes a part of a node's places for those who watch, and gets each of them back.
func TestOneCallerWatchesOnlySoOften(t *testing.T) {
	g := openGuarded(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := quoratev1.NewTransferServiceClient(conn).WatchTransfers(ctx, &quoratev1.WatchTransfersRequest{Bank: "HOME"})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	nosy := g.as(t, pki.Identity{Client: "nosy", Roles: []string{"read"}, Banks: []string{"HOME"}})
	some, end := context.WithCancel(ctx)
	for n := range 32 {
		if err := watch(some, nosy.conn); err != nil {
			t.Fatalf("watch %d: %v", n+1, err)
		}
	}
	if err := watch(ctx, nosy.conn); infoOf(status.Convert(err)).GetReason() != "busy" {
		t.Fatalf("one more: %v", err)
	}
	if r := nosy.web.do("GET", "/v1/events?bank=HOME", ""); r.status != 429 {
		t.Errorf("one more over HTTP: %d %s", r.status, r.body)
	}
	if err := watch(ctx, g.as(t, pki.Identity{Client: "ops", Roles: []string{"admin"}}).conn); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	end()
	waitFor(t, "a place is free again", func() bool { return watch(ctx, nosy.conn) == nil })
}

// TestARevokedTokenHearsOfNothingMore: neither of what is decided from then on nor, for ever, of nothing.
func TestARevokedTokenHearsOfNothingMore(t *testing.T) {
	for name, decided := range map[string]bool{"something is decided": true, "nothing is": false} {
		t.Run(name, func(t *testing.T) {
			g := openGuarded(t, nil)
			secret := "qt_watcher"
			g.fake.set(func(f *fake) {
				f.silent, f.tokens[sha256.Sum256([]byte(secret))] = true, api.Token{Name: "watcher", Roles: []string{"read"}}
			})
			who := g.as(t, pki.Identity{})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			over, err := quoratev1.NewTransferServiceClient(who.conn).WatchTransfers(
				metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+secret), &quoratev1.WatchTransfersRequest{FromBeginning: true})
			if err == nil {
				_, err = over.Recv() // a sign of life: it is let in
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.httpAt+"/v1/events?from=beginning", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+secret)
			events, err := who.web.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer events.Body.Close()
			if events.StatusCode != http.StatusOK {
				t.Fatal(events.Status)
			}
			g.fake.set(func(f *fake) { clear(f.tokens); f.silent = !decided })
			if m, err := over.Recv(); status.Code(err) != codes.Unauthenticated {
				t.Errorf("over gRPC: %v, %v", m, err)
			}
			text, err := io.ReadAll(events.Body)
			if err != nil || strings.Contains(string(text), "transfer.") || !strings.Contains(string(text), `"code":"unauthenticated"`) {
				t.Errorf("over HTTP: %s, %v", text, err)
			}
		})
	}
}
