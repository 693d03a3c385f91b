package api

import (
	"net/http"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// HandlerForTest is the HTTP face without a network, for fuzzing.
func HandlerForTest(cfg Config, backend Backend) (handler http.Handler, stop func()) {
	w := newWeb(&desk{backend: backend, timeouts: cfg.Timeouts.filled()}, &guard{log: cfg.Log}, newDoctor(backend))
	handler, err := w.routes(&cfg)
	if err != nil {
		panic(err)
	}
	return handler, func() { w.busy.Wait(); w.end() }
}

// TransferServiceForTest is the gRPC service without a network.
func TransferServiceForTest(backend Backend) quoratev1.TransferServiceServer {
	return &transferService{desk: &desk{backend: backend, timeouts: DefaultTimeouts()}}
}
