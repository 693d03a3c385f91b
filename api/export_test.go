package api

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// HandlerForTest is the HTTP face without a network, for fuzzing.
func HandlerForTest(cfg Config, backend Backend) (handler http.Handler, stop func()) {
	cfg.Metrics = NewMetrics()
	door := newDoor(&cfg, backend)
	w := newWeb(&desk{backend: backend, timeouts: cfg.Timeouts.filled(), door: door, count: cfg.Metrics}, &guard{log: cfg.Log}, door, newDoctor(backend))
	handler, err := w.routes(&cfg)
	if err != nil {
		panic(err)
	}
	return handler, func() { w.busy.Wait(); w.end() }
}

// SubmitTransfersForTest is gRPC's SubmitTransfers without a network.
func SubmitTransfersForTest(backend Backend) func(message []byte) (*quoratev1.SubmitTransfersResponse, error) {
	s := &transferService{desk: &desk{backend: backend, timeouts: DefaultTimeouts(), door: &door{open: true, pace: newPace(0)}, count: NewMetrics()}}
	return func(message []byte) (*quoratev1.SubmitTransfersResponse, error) {
		return s.submitSealed(context.Background(), message)
	}
}

// PaceForTest is what a request of n transfers is told by a door that lets in so many a second: nil, or to wait.
func PaceForTest(perSecond int) func(now time.Time, n int) (wait time.Duration) {
	p := newPace(perSecond)
	return func(now time.Time, n int) time.Duration {
		err := p.admit(now, nil)
		if err == nil {
			err = p.admitRest(now, nil, n)
		}
		return waitIn(err)
	}
}

// UnmarshalForTest reads a message as a server does.
func UnmarshalForTest(wire []byte, into any) error {
	return readInto(into, func(m any) error { return newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, m) })
}

// Hurry shortens the time that a message may take to be read and an answer to be taken.
func (c *Config) Hurry(read, take time.Duration) { c.readWithin, c.takeWithin = read, take }

// OweAtMost bounds the answers that a connection's client hasn't taken.
func (c *Config) OweAtMost(bytes int) { c.owedMax = bytes }

// ServicesForTest are all services of gRPC without a network, as a server registers them.
func ServicesForTest(r grpc.ServiceRegistrar, cfg Config, backend Backend) {
	cfg.Metrics = NewMetrics()
	s := &Server{guard: &guard{log: cfg.Log}, door: newDoor(&cfg, backend), doctor: newDoctor(backend), draining: context.Background()}
	s.register(r, &cfg, &desk{backend: backend, timeouts: cfg.Timeouts.filled(), door: s.door, count: cfg.Metrics})
}

// What a page's token and a header may say, for the fuzz test.
var (
	AccountOfToken = accountOfToken
	UnquoteKey     = unquoteKey
	PreferredWait  = preferredWait
	ChooseID       = chooseRequestID
)

// TokenOf is the token behind an account in the list of accounts.
func TokenOf(account string) string { return tokenOf(ofAccounts, account) }

// TokenOfSeq is the token behind an entry of a journal.
func TokenOfSeq(seq uint64) string { return tokenOfSeq(ofEntries, seq) }

// SeqOfToken is the entry of a journal that a token stands behind.
func SeqOfToken(token string) (uint64, error) { return seqOfToken(ofEntries, token) }

// MethodsForTest are the methods of all services of gRPC that a server offers.
func MethodsForTest(s *Server) (methods []string) {
	for service, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			methods = append(methods, "/"+service+"/"+m.Name)
		}
	}
	return methods
}

// GrantedForTest says whether the table of grants has a line for an operation.
func GrantedForTest(operation string) bool { _, known := grants[operation]; return known }

// GrantsForTest are the lines of the table.
func GrantsForTest() (operations []string) {
	for operation := range grants {
		operations = append(operations, operation)
	}
	return operations
}

// OperationOfForTest is what the table calls a method.
var OperationOfForTest = operationOf
