package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// FuzzTransferBody wants an answer of ours to any body: never 5xx, and nothing invalid at the backend.
func FuzzTransferBody(f *testing.F) {
	f.Add([]byte(oneTransfer), "", "")
	f.Add([]byte("{"+legs+`,"timeout_ms":5}`), `"key"`, "wait=5")
	f.Add([]byte(`{"legs":[{"legs":[]}]}`), `"\`, "wait")
	f.Add([]byte(`{"a":1}{"b":2}`), "", ",;=")
	fake := newFake()
	handler, stop := api.HandlerForTest(api.Config{Log: slog.New(slog.DiscardHandler)}, fake)
	f.Cleanup(stop)
	f.Fuzz(func(t *testing.T, body []byte, key, prefer string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/transfers", bytes.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		r.Header.Set("Prefer", prefer)
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, r)
		answer, _ := io.ReadAll(out.Body)
		if out.Code >= 500 || !json.Valid(answer) {
			t.Fatalf("%d %s", out.Code, answer)
		}
		checkSeen(t, fake)
	})
}

func checkSeen(t *testing.T, f *fake) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, seen := range f.seen {
		if err := seen.Validate(); err != nil || seen.Deadline.IsZero() {
			t.Fatalf("the backend got %+v: %v", seen, err)
		}
	}
	f.seen, f.known = nil, map[transfer.ID]transfer.Record{}
}

// FuzzTransferMessage does the same with messages.
func FuzzTransferMessage(f *testing.F) {
	wire, _ := proto.Marshal(&quoratev1.SubmitTransfersRequest{Transfers: []*quoratev1.TransferSpec{spec(idText), spec(""), {Id: "x"}}})
	f.Add(wire)
	fake := newFake()
	submit := api.SubmitTransfersForTest(fake)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var r quoratev1.SubmitTransfersRequest
		unreadable := proto.Unmarshal(wire, &r)
		answer, err := submit(wire)
		if unreadable != nil && err == nil {
			t.Fatalf("what is no message was read as one: %v", unreadable)
		}
		if err != nil {
			return
		}
		if len(answer.GetResults()) != len(r.GetTransfers()) {
			t.Fatalf("%d results of %d transfers", len(answer.GetResults()), len(r.GetTransfers()))
		}
		for i, result := range answer.GetResults() {
			if e := result.GetError(); e != nil {
				if known, is := transfer.ErrorOf(transfer.Code(e.GetCode())); !is || known.Kind != transfer.KindInvalid {
					t.Fatalf("%v: %v", r.GetTransfers()[i], e)
				}
			} else if _, err := transfer.ParseID(result.GetId()); err != nil {
				t.Fatalf("id %q of a committed transfer", result.GetId())
			}
		}
		checkSeen(t, fake)
	})
}
