package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// benchClients are the kinds of clients.
var benchClients = []string{"batch", "stream", "sdk", "unary", "rest"}

func isBenchClient(how string) bool { return slices.Contains(benchClients, how) }

// verdict is what a client was told of one transfer.
type verdict uint8

const (
	benchCommitted verdict = iota + 1
	benchAborted
	benchRefused // nothing was changed
	benchUnknown
)

// payer sends transfers and waits for what becomes of them; one verdict each. It may be used by any number of goroutines.
type payer interface {
	pay(ctx context.Context, transfers []transfer.Transfer) []verdict
	close() error
}

// payers share the clients among them.
type payers []payer

func (p payers) of(worker int) payer { return p[worker%len(p)] }

func (p payers) close() {
	for _, each := range p {
		_ = each.close() // of connections that nobody uses any more
	}
}

// The connections that clients share. A program has one for all its gRPC calls, and another one from about a hundred open calls on, as gRPC's performance guide advises.
const (
	callsPerConnection = 100
	connectionsMost    = 8 // also of clients that send more than one call
)

// connections is how many payers o's clients share.
func connections(o *benchOptions) int {
	switch o.how {
	case "sdk", "rest":
		return 1
	case "unary":
		return min((o.clients+callsPerConnection-1)/callsPerConnection, connectionsMost)
	}
	return min(o.clients, connectionsMost)
}

// dialBench connects as many payers as are useful. Where one server leads all shards, that one is asked first.
func dialBench(o *benchOptions, at benchTarget, status client.Status) (payers, error) {
	var all payers
	count := max(connections(o), min(o.shards, len(at.grpc))) // with several shards there are several leaders
	first := leaderPlace(&status, len(at.grpc))
	for i := range count {
		grpcs, https := slices.Clone(at.grpc), slices.Clone(at.http)
		if o.shards > 1 {
			first = i
		}
		rotate(grpcs, first)
		rotate(https, first)
		p, err := dialPayer(o, at.secure, grpcs, https)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// leaderPlace is the place of the first shard's leader among the servers, if they are numbered as they stand.
func leaderPlace(status *client.Status, servers int) int {
	for _, g := range status.Groups {
		if g.Group == "coordinator/0" && g.Leader >= 1 && g.Leader <= uint64(servers) {
			return int(g.Leader - 1)
		}
	}
	return 0
}

func rotate(list []string, first int) {
	if first %= max(len(list), 1); first > 0 {
		copy(list, slices.Concat(list[first:], list[:first]))
	}
}

func dialPayer(o *benchOptions, secure security, grpcs, https []string) (payer, error) {
	switch o.how {
	case "unary":
		conn, err := dialBare(grpcs[0], secure)
		if err != nil {
			return nil, err
		}
		return &unaryPayer{conn: conn, service: quoratev1.NewTransferServiceClient(conn)}, nil
	case "stream":
		return dialStream(grpcs[0], secure)
	case "rest":
		idle := &http.Transport{MaxIdleConns: o.clients, MaxIdleConnsPerHost: o.clients, DisableCompression: true}
		scheme := "http://"
		if secure.keys != nil {
			scheme, idle.TLSClientConfig = "https://", secure.keys.Client()
		}
		return &restPayer{url: scheme + https[0] + "/v1/transfers", token: secure.token, http: &http.Client{Transport: idle}}, nil
	}
	c, err := client.Dial(grpcs, secure.ofClient()...)
	if err != nil {
		return nil, misconfigured(err)
	}
	return &sdkPayer{client: c}, nil
}

const (
	benchMessageMax = 16 << 20 // above anything that a server answers
	benchWindow     = 4 << 20  // as the SDK's
)

// dialBare connects as a program without the SDK does. Its windows are fixed: gRPC pings the server after each answer to find out how large they should be.
func dialBare(address string, secure security) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, append(secure.ofGRPC(), grpc.WithDisableRetry(),
		grpc.WithStaticStreamWindowSize(benchWindow), grpc.WithStaticConnWindowSize(benchWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(benchMessageMax)))...)
	if err != nil {
		return nil, misconfigured(err)
	}
	return conn, nil
}

// sdkPayer calls the Go SDK.
type sdkPayer struct{ client *client.Client }

func (p *sdkPayer) pay(ctx context.Context, transfers []transfer.Transfer) []verdict {
	if len(transfers) == 1 {
		record, err := p.client.Transfer(ctx, transfers[0])
		return []verdict{verdictOf(record.State, err)}
	}
	verdicts := make([]verdict, len(transfers))
	for i, r := range p.client.Transfers(ctx, transfers) {
		verdicts[i] = verdictOf(r.Record.State, r.Err)
	}
	return verdicts
}

func (p *sdkPayer) close() error { return p.client.Close() }

func verdictOf(state transfer.State, err error) verdict {
	var unknown *client.OutcomeUnknownError
	switch {
	case errors.As(err, &unknown):
		return benchUnknown
	case err != nil:
		return benchRefused
	case state == transfer.Committed:
		return benchCommitted
	case state == transfer.Aborted:
		return benchAborted
	}
	return benchUnknown
}

// unaryPayer calls SubmitTransfer, as a client in any language would. It doesn't try again.
type unaryPayer struct {
	conn    *grpc.ClientConn
	service quoratev1.TransferServiceClient
}

func (p *unaryPayer) pay(ctx context.Context, transfers []transfer.Transfer) []verdict {
	answer, err := p.service.SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: specsOf(transfers[:1])[0]})
	switch {
	case status.Code(err) == codes.ResourceExhausted:
		return []verdict{benchRefused}
	case err != nil:
		return []verdict{benchUnknown}
	}
	return []verdict{verdictOfState(answer.GetTransfer().GetState())}
}

// specsOf are the transfers of one request: with few allocations, for the load shares the processors with what it measures.
func specsOf(transfers []transfer.Transfer) []*quoratev1.TransferSpec {
	count := 0
	for i := range transfers {
		count += len(transfers[i].Legs)
	}
	specs, out := make([]quoratev1.TransferSpec, len(transfers)), make([]*quoratev1.TransferSpec, len(transfers))
	legs, pointers := make([]quoratev1.Leg, count), make([]*quoratev1.Leg, 0, count)
	for i := range transfers {
		t := &transfers[i]
		first := len(pointers)
		for k := range t.Legs {
			from, to := &t.Legs[k], &legs[len(pointers)]
			to.Bank, to.Account, to.AmountMinor, to.Currency = string(from.Bank), string(from.Account), from.AmountMinor, string(from.Currency)
			to.Direction = quoratev1.Direction_DIRECTION_CREDIT
			if from.Direction == transfer.Debit {
				to.Direction = quoratev1.Direction_DIRECTION_DEBIT
			}
			pointers = append(pointers, to)
		}
		out[i] = &specs[i]
		out[i].Id, out[i].Legs = t.ID.String(), pointers[first:len(pointers):len(pointers)]
	}
	return out
}

func verdictOfState(s quoratev1.TransferState) verdict {
	switch s {
	case quoratev1.TransferState_TRANSFER_STATE_COMMITTED:
		return benchCommitted
	case quoratev1.TransferState_TRANSFER_STATE_ABORTED:
		return benchAborted
	}
	return benchUnknown
}

func (p *unaryPayer) close() error { return p.conn.Close() }

// restPayer posts to /v1/transfers. It doesn't try again.
type restPayer struct {
	url   string
	token credentials.PerRPCCredentials // nil: it has none
	http  *http.Client
}

// restSpec is the body of a request.
type restSpec struct {
	ID   string    `json:"id"`
	Legs []legJSON `json:"legs"`
}

func (p *restPayer) pay(ctx context.Context, transfers []transfer.Transfer) []verdict {
	state, err := p.post(ctx, &transfers[0])
	switch {
	case err != nil:
		return []verdict{benchUnknown}
	case state == transfer.Committed.String():
		return []verdict{benchCommitted}
	case state == transfer.Aborted.String():
		return []verdict{benchAborted}
	}
	return []verdict{benchUnknown}
}

func (p *restPayer) post(ctx context.Context, t *transfer.Transfer) (state string, err error) {
	spec := restSpec{ID: t.ID.String()}
	for _, l := range t.Legs {
		spec.Legs = append(spec.Legs, legJSON{
			Bank: string(l.Bank), Account: string(l.Account), Direction: l.Direction.String(), AmountMinor: digits(l.AmountMinor), Currency: string(l.Currency),
		})
	}
	body, err := json.Marshal(&spec)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.token != nil {
		shown, err := p.token.GetRequestMetadata(ctx)
		if err != nil {
			return "", err
		}
		request.Header.Set("Authorization", shown["authorization"])
	}
	response, err := p.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		State string `json:"state"`
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return "", fmt.Errorf("HTTP status %s", response.Status)
	}
	err = json.Unmarshal(text, &answer)
	return answer.State, err
}

func (p *restPayer) close() error {
	p.http.CloseIdleConnections()
	return nil
}

// eachOf does something with every item, so many at a time; the first error ends it.
func eachOf[T any](ctx context.Context, atATime int, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, atATime)
	var all sync.WaitGroup
	for _, item := range items {
		room <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-room }()
			limited, done := context.WithTimeout(ctx, 30*time.Second)
			defer done()
			if err := do(limited, item); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
