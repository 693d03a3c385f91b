package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Who watches decisions is told of each in the order of its coordinator group. Over gRPC that is a stream, over HTTP server-sent events.

const (
	watchersMax     = 256 // of all callers
	watchersOfOne   = 32  // of one who has said who they are
	watchPage       = 500
	watchEvery      = 100 * time.Millisecond // how often it looks for what is new
	watchAfterFault = time.Second
	watchSign       = 10 * time.Second // of life, with the position, if nothing happens
	watchAsksEvery  = time.Second      // whether its caller may still watch
)

// DecisionQuery asks for up to Limit decisions behind where somebody has come to. A field that isn't set lets all through.
type DecisionQuery struct {
	State     transfer.State
	Bank      transfer.BankID
	Account   transfer.AccountID
	Reference string
	After     []uint64 // one for each coordinator group; nil: answer only with where the newest is
	Limit     int
}

// Decision is a transfer that has its outcome, and its place in the order of its coordinator group.
type Decision struct {
	Record transfer.Record
	Group  int
	Number uint64
}

// DecisionPage is what comes next. Of each group the order is kept.
type DecisionPage struct {
	Decided []Decision
	After   []uint64 // behind everything that was looked at
	More    bool     // there is more already
}

// emit sends one transfer, or nil: a sign of life. The position is where to go on later.
type emit func(record *transfer.Record, position string) error

// watch emits decisions until ctx ends, the node stops, or emit fails. What can't be answered for a while is waited for.
func (d *desk) watch(ctx context.Context, q DecisionQuery, position string, fromBeginning bool, send emit) error {
	filter := TransferQuery{State: q.State, Bank: q.Bank, Account: q.Account, Reference: q.Reference}
	if err := filter.check(); err != nil {
		return err
	}
	if err := mayList(ctx, q.Bank); err != nil {
		return err
	}
	var err error
	if q.After, err = positionOfWatch(position); err != nil {
		return err
	}
	caller := callerOf(ctx)
	if err := d.watchers.enter(caller); err != nil {
		return err
	}
	defer d.watchers.leave(caller)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.draining, cancel)()
	w := watch{desk: d, query: q, send: send}
	w.query.Limit = watchPage
	err = w.run(ctx, fromBeginning)
	if d.draining.Err() != nil {
		return fmt.Errorf("%w: go on at another node, with the last position", transfer.ErrStopping)
	}
	return err
}

// watchers has a place for each: so few for one caller that it never takes those of all others.
type watchers struct {
	mu   sync.Mutex // guards what follows
	all  int
	each map[[2]string]int // by how and name of the caller
}

func (w *watchers) enter(c *Caller) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= watchersMax {
		return fmt.Errorf("%w: %d watch already", transfer.ErrBusy, w.all)
	}
	if c != nil {
		if n := w.each[[2]string{c.How, c.Name}]; n >= watchersOfOne {
			return fmt.Errorf("%w: %s %q watches %d times already", transfer.ErrBusy, c.How, c.Name, n)
		}
		w.count(c, 1)
	}
	w.all++
	return nil
}

func (w *watchers) leave(c *Caller) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if c != nil {
		w.count(c, -1)
	}
}

// count is called with the lock.
func (w *watchers) count(c *Caller, n int) {
	if w.each == nil {
		w.each = map[[2]string]int{}
	}
	key := [2]string{c.How, c.Name}
	if w.each[key] += n; w.each[key] == 0 {
		delete(w.each, key)
	}
}

// watch is one watcher.
type watch struct {
	desk  *desk
	query DecisionQuery
	send  emit
	sent  time.Time // zero: nothing yet, so that what can't be answered is refused before anything is said
	asked time.Time // whether its caller may still watch; zero: that must be asked before anything is told
}

func (w *watch) run(ctx context.Context, fromBeginning bool) error {
	if w.query.After == nil {
		if err := w.begin(ctx, fromBeginning); err != nil {
			return err
		}
	}
	wait := time.NewTimer(watchEvery)
	defer wait.Stop()
	for {
		pause := watchEvery
		page, err := w.ask(ctx)
		if len(page.Decided) > 0 {
			w.asked = time.Time{}
		}
		if err := w.askAgain(ctx); err != nil {
			return err
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if err := w.pass(ctx, &page); err != nil {
				return err
			}
			if page.More {
				continue
			}
		case !verdictOf(err).Retryable:
			return err
		default:
			pause = watchAfterFault
		}
		if time.Since(w.sent) >= watchSign {
			if err := w.emit(nil); err != nil {
				return err
			}
		}
		wait.Reset(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func verdictOf(err error) Verdict {
	_, verdict := Judge(err)
	return verdict
}

// begin finds where the newest decision is.
func (w *watch) begin(ctx context.Context, fromBeginning bool) error {
	page, err := w.ask(ctx)
	if err != nil {
		return err
	}
	if w.query.After = page.After; fromBeginning {
		clear(w.query.After)
	}
	return nil
}

func (w *watch) ask(ctx context.Context) (DecisionPage, error) {
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return w.desk.backend.Decisions(ctx, w.query)
}

// pass emits a page. A client may take its time for one.
func (w *watch) pass(ctx context.Context, page *DecisionPage) error {
	for i := range page.Decided {
		if err := w.askAgain(ctx); err != nil {
			return err
		}
		decided := &page.Decided[i]
		w.query.After[decided.Group] = decided.Number
		if err := w.emit(&decided.Record); err != nil {
			return err
		}
	}
	w.query.After = page.After
	return nil
}

// askAgain finds out from time to time whether the caller may still watch.
func (w *watch) askAgain(ctx context.Context) error {
	if time.Since(w.asked) < watchAsksEvery {
		return nil
	}
	w.asked = time.Now()
	ctx, err := w.desk.door.again(ctx, "watchTransfers", string(w.query.Bank))
	if err != nil {
		return err
	}
	return mayList(ctx, w.query.Bank)
}

func (w *watch) emit(record *transfer.Record) error {
	w.sent = time.Now()
	return w.send(record, tokenOfWatch(w.query.After))
}

// A position of a watch is no page token of a list. It is kept for long: whatever changes, this is read.
const ofWatch = "d"

func tokenOfWatch(after []uint64) string { return tokenOf(ofWatch, joinPositions(after)) }

func positionOfWatch(token string) ([]uint64, error) {
	if token == "" {
		return nil, nil
	}
	key, err := keyOf(ofWatch, token)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a position of a watch", transfer.ErrInvalidRequest, clip(token))
	}
	return parsePositions(token, key)
}

// gRPC

func (s *transferService) WatchTransfers(r *quoratev1.WatchTransfersRequest, stream grpc.ServerStreamingServer[quoratev1.WatchTransfersResponse]) error {
	state, err := stateOfProto(r.GetState())
	if err != nil {
		return err
	}
	q := DecisionQuery{State: state, Bank: transfer.BankID(r.GetBank()), Account: transfer.AccountID(r.GetAccount()), Reference: r.GetReference()}
	return s.desk.watch(stream.Context(), q, r.GetPosition(), r.GetFromBeginning(), func(record *transfer.Record, position string) error {
		m := &quoratev1.WatchTransfersResponse{Position: position}
		if record != nil {
			m.Transfer = protoOfRecord(record)
		}
		return stream.Send(m)
	})
}

// HTTP

type eventsInput struct {
	State     string `query:"state" enum:"committed,aborted"`
	Bank      string `query:"bank" doc:"Has a leg at this bank."`
	Account   string `query:"account" doc:"Has a leg of this account; with bank, of this account at that bank."`
	Reference string `query:"reference" doc:"The whole of it."`
	From      string `query:"from" enum:"now,beginning" default:"now" doc:"Where to begin without a position."`
	Position  string `query:"position" doc:"The id of the last event that was received; for clients that can't set the header."`
	LastEvent string `header:"Last-Event-ID" doc:"The id of the last event that was received: the stream goes on behind it, at any node."`
}

const eventsPath = "/v1/events"

// registerEvents names the stream of events. A stream that breaks before its first event is a problem, and afterwards an event "error".
func (w *web) registerEvents(api huma.API) {
	o := w.operation(http.MethodGet, eventsPath, "watchTransfers",
		"Follow the decisions as server-sent events: transfer.committed and transfer.aborted, each with a transfer as data and a position as id", http.StatusOK)
	o.Responses = map[string]*huma.Response{"200": {
		Description: "OK. Events of one coordinator group come in the order of its log. An id without an event is a sign of life.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	huma.Register(api, o, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) { w.streamEvents(ctx, in, c) }}, nil
	})
}

func (w *web) streamEvents(ctx context.Context, in *eventsInput, c huma.Context) {
	position := in.LastEvent
	if position == "" {
		position = in.Position
	}
	q := DecisionQuery{State: stateOfText(in.State), Bank: transfer.BankID(in.Bank), Account: transfer.AccountID(in.Account), Reference: in.Reference}
	out := &eventWriter{to: c}
	err := w.desk.watch(ctx, q, position, in.From == "beginning", out.send)
	if err == nil || ctx.Err() != nil {
		return // the client is gone
	}
	w.guard.note(ctx, "watchTransfers", err)
	out.fail(problemOf(ctx, err, 0))
}

// eventWriter writes events as the WHATWG's HTML standard has them, section 9.2.
type eventWriter struct {
	to    huma.Context
	begun bool
}

func (e *eventWriter) send(record *transfer.Record, position string) error {
	if !e.begun {
		e.begun = true
		e.to.SetHeader("Content-Type", "text/event-stream")
		e.to.SetHeader("X-Accel-Buffering", "no") // nginx would keep events back
		e.to.SetStatus(http.StatusOK)
	}
	if record == nil {
		return e.write("id: " + position + "\n\n")
	}
	data, err := json.Marshal(transferToJSON(record))
	if err != nil {
		return err
	}
	return e.write("id: " + position + "\nevent: transfer." + record.State.String() + "\ndata: " + string(data) + "\n\n")
}

func (e *eventWriter) write(text string) error {
	if _, err := e.to.BodyWriter().Write([]byte(text)); err != nil {
		return err
	}
	if out, can := e.to.BodyWriter().(http.ResponseWriter); can {
		return http.NewResponseController(out).Flush()
	}
	return nil
}

// fail tells what ended the stream: as an answer if nothing was sent yet.
func (e *eventWriter) fail(p *problem) {
	if e.begun {
		if data, err := json.Marshal(p); err == nil {
			_ = e.write("event: error\ndata: " + string(data) + "\n\n") // the client's loss
		}
		return
	}
	writeProblemTo(e.to, p)
}
